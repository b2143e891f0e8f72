import { createHash } from 'node:crypto';
import type { Corruption, CorruptionStep } from '../../shared/dataset.ts';
import { type Random, randomFromState, seededRandom } from '../../shared/statistics.ts';
import type { PromptToken } from '../../shared/traceDocument.ts';
import type { JsonPath } from './datasetJson.ts';
import type { Report } from './datasetReport.ts';
import { encodePair } from './datasetResolve.ts';
import { nearestWord } from './nearestWord.ts';
import { sourceRows } from './sourceRows.ts';
import type { TokenSets } from './tokenSets.ts';

/** A row to corrupt, and what is to be done to it. */
export interface CorruptibleRow {
  readonly clean: readonly PromptToken[];
  readonly roles: Readonly<Record<string, readonly number[]>>;
  readonly corruption: Corruption;
  readonly sets: TokenSets;
  readonly report: Report;
  /** Where problems of the corruption are shown in the row. */
  readonly path: JsonPath;
}

/** A row on its way: null when it was refused. */
type Ids = number[] | null;

/** Random numbers of one step of one corruption: independent of what other corruptions there are. */
function stepRandom(seed: number, name: string, step: number): Random {
  const digest = createHash('sha256').update(`${seed}\n${step}\n${name}`).digest();
  return randomFromState([0, 4, 8, 12].map((at) => digest.readInt32LE(at)) as [number, number, number, number]);
}

function positionsOf(target: string, row: CorruptibleRow): readonly number[] | null {
  if (target === '*') return row.clean.map((_, i) => i);
  const before = target.startsWith('<');
  const role = before ? target.slice(1) : target;
  const at = row.roles[role];
  if (at === undefined) {
    const near = nearestWord(role, Object.keys(row.roles));
    const advice = near === null ? '' : ` Did you mean ${near}?`;
    row.report(
      row.path,
      'unknown-role',
      `A corruption changes the role ${role}, which this row does not have.${advice}`,
    );
    return null;
  }
  return before ? Array.from({ length: Math.min(...at) }, (_, i) => i) : at;
}

type Permute = Extract<CorruptionStep, { readonly permute: unknown }>;
type Replace = Extract<CorruptionStep, { readonly replace: unknown }>;
type Copy = Extract<CorruptionStep, { readonly copy: unknown }>;

/** Rows that can exchange tokens: the same roles at as many positions. */
interface Pool {
  readonly collisions: Permute['collisions'];
  readonly rows: number[];
  readonly positions: (readonly number[])[];
}

function poolsOf(rows: readonly CorruptibleRow[], current: Ids[], steps: readonly (CorruptionStep | undefined)[]) {
  const pools = new Map<string, Pool>();
  rows.forEach((row, index) => {
    const step = steps[index];
    if (current[index] === null || step === undefined || !('permute' in step)) return;
    const targets = step.permute.map((target) => positionsOf(target, row));
    if (targets.includes(null)) {
      current[index] = null;
      return;
    }
    const shape = JSON.stringify([step.permute, step.collisions, targets.map((at) => at?.length)]);
    const pool = pools.get(shape) ?? { collisions: step.collisions, rows: [], positions: [] };
    pools.set(shape, pool);
    pool.rows.push(index);
    pool.positions.push([...new Set(targets.flatMap((at) => at ?? []))]);
  });
  return pools.values();
}

function permutePool({ collisions = 'avoid', rows, positions }: Pool, current: Ids[], random: Random): number[] {
  const tokens = rows.map((row, i) => positions[i].map((at) => current[row]?.[at] ?? -1));
  const numbers = new Map<string, number>();
  const values = tokens.map((ids) => {
    const key = ids.join(' ');
    const known = numbers.get(key) ?? numbers.size;
    numbers.set(key, known);
    return known;
  });
  const varying = (tokens[0] ?? []).map((_, i) => tokens.some((ids) => ids[i] !== tokens[0][i]));
  const alike = (a: number, b: number) => tokens[a].some((id, i) => varying[i] && id === tokens[b][i]);
  const collides = {
    allow: () => false,
    avoid: (a: number, b: number) => values[a] === values[b],
    exclude: (a: number, b: number) => values[a] === values[b] || alike(a, b),
  }[collisions];
  const source = sourceRows(values, collides, random);
  rows.forEach((row, i) => {
    positions[i].forEach((at, k) => {
      const ids = current[row];
      if (ids !== null) ids[at] = tokens[source[i]][k];
    });
  });
  return collisions === 'exclude' ? rows.filter((_, i) => collides(i, source[i])) : [];
}

function replaceRoles(step: Replace, row: CorruptibleRow, ids: number[], random: Random): boolean {
  const { from } = step;
  const path = row.path;
  const members =
    typeof from === 'string'
      ? row.sets.members(from, path, row.report)
      : from.map((token) => row.sets.id(token, path, row.report)).filter((id) => id !== null);
  const targets = step.replace.map((role) => positionsOf(role, row));
  if (members === null || (typeof from !== 'string' && members.length < from.length)) return false;
  const clean = (at: readonly number[]) => at.map((position) => row.clean[position].id);
  const taken = new Set(step.distinct ? targets.flatMap((at) => clean(at ?? [])) : []);
  for (const at of targets) {
    if (at === null) return false;
    const own = clean(at);
    const free = members.filter((id) => !own.includes(id) && !taken.has(id));
    if (free.length === 0) {
      row.report(path, 'not-corrupted', 'The set has no token left that is another than the clean one.');
      return false;
    }
    const drawn = free[random.below(free.length)];
    if (step.distinct) taken.add(drawn);
    for (const position of at) ids[position] = drawn;
  }
  return true;
}

function copyRoles(step: Copy, row: CorruptibleRow, ids: number[]): boolean {
  const before = [...ids];
  for (const [to, from] of Object.entries(step.copy)) {
    const target = positionsOf(to, row);
    const origin = positionsOf(from, row);
    if (target === null || origin === null) return false;
    if (target.length !== origin.length) {
      const message = `${to} has ${target.length} tokens and ${from} ${origin.length}: one cannot be copied to the other.`;
      row.report(row.path, 'unlike-length', message);
      return false;
    }
    target.forEach((at, i) => {
      ids[at] = before[origin[i]];
    });
  }
  return true;
}

function changeRow(step: CorruptionStep, row: CorruptibleRow, ids: number[], random: Random): Ids {
  if ('text' in step) {
    const pair = encodePair(step.text, row.clean, row.path, row.sets.tokenizer, row.report);
    return pair?.corrupted.map(({ id }) => id) ?? null;
  }
  if ('replace' in step) return replaceRoles(step, row, ids, random) ? ids : null;
  if ('copy' in step) return copyRoles(step, row, ids) ? ids : null;
  return ids;
}

/** Whether a corruption can be done to a row as far as the row alone tells; reports why not. */
export function checkCorruption(row: CorruptibleRow): boolean {
  const random = seededRandom(0);
  return row.corruption.every((step) => {
    if ('permute' in step) return step.permute.every((target) => positionsOf(target, row) !== null);
    const ids = row.clean.map(({ id }) => id);
    return changeRow(step, row, ids, random) !== null;
  });
}

/**
 * Token ids of one corruption of all rows; null for a row that had to be refused, with the reason reported. Where the
 * acronym paper (arXiv 2405.04156) differs: its permutations may leave a row as it is (`collisions: allow`), here as few
 * rows as possible keep their tokens. Changes are made to token ids: the result need not be what its text tokenizes to.
 * The same seed, name and rows give the same tokens, whatever other corruptions there are.
 */
export function corruptRows(
  rows: readonly CorruptibleRow[],
  name: string,
  seed: number,
): readonly (readonly number[] | null)[] {
  const current: Ids[] = rows.map(({ clean }) => clean.map(({ id }) => id));
  const most = Math.max(0, ...rows.map(({ corruption }) => corruption.length));
  for (let index = 0; index < most; index++) {
    const random = stepRandom(seed, name, index);
    const steps = rows.map(({ corruption }) => corruption[index] as CorruptionStep | undefined);
    for (const pool of poolsOf(rows, current, steps)) {
      for (const row of permutePool(pool, current, random)) {
        const message = `No other row has other tokens at all the roles that ${name} exchanges.`;
        rows[row].report(rows[row].path, 'not-corrupted', message);
        current[row] = null;
      }
    }
    rows.forEach((row, i) => {
      const ids = current[i];
      const step = steps[i];
      if (ids !== null && step !== undefined) current[i] = changeRow(step, row, ids, random);
    });
  }
  return current;
}
