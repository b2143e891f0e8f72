import type { Corruption } from '../../shared/dataset.ts';
import { MechanistError, throwIfCancelled } from '../../shared/errors.ts';
import { corruptionFor } from '../../shared/taskSet.ts';
import type { Tokenizer } from '../models/tokenizer.ts';
import { type CorruptibleRow, checkCorruption, corruptRows } from './corruptRows.ts';
import type { Report } from './datasetReport.ts';
import { nearestWord } from './nearestWord.ts';
import type { TaskRow, TaskRows, TaskSetOptions } from './taskRows.ts';
import { TokenSets } from './tokenSets.ts';

/** What a corruption does to a row: the row's own word before the header's. */
function corruptionOf({ row, entry }: Pick<TaskRow, 'row' | 'entry'>, name: string): Corruption | undefined {
  const given = name === 'corrupted' && row.corrupted !== undefined ? [{ text: row.corrupted }] : undefined;
  return row.corrupt?.[name] ?? given ?? entry.header?.corruptions[name];
}

function namesOf({ row, entry }: Pick<TaskRow, 'row' | 'entry'>): ReadonlySet<string> {
  const names = [...Object.keys(entry.header?.corruptions ?? {}), ...Object.keys(row.corrupt ?? {})];
  return new Set(row.corrupted === undefined ? names : [...names, 'corrupted']);
}

function corruptible(row: TaskRow, name: string, sets: TokenSets, report: Report): CorruptibleRow {
  return {
    clean: row.item.clean,
    roles: row.item.roles,
    corruption: corruptionOf(row, name) ?? [],
    sets,
    report,
    path: row.row.corrupt?.[name] === undefined ? [] : ['corrupt', name],
  };
}

/** Whether a row can be corrupted in each way that it or the header names, as far as it alone tells; reports why not. */
export function checkCorruptions(row: TaskRow, sets: TokenSets, report: Report): boolean {
  const names = [...namesOf(row)].filter((name) => name !== 'corrupted' || row.row.corrupt?.corrupted !== undefined);
  return names.map((name) => checkCorruption(corruptible(row, name, sets, report))).every((good) => good);
}

/** Name of each corruption that some row has → how many have it. */
function countCorruptions({ rows }: TaskRows): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const row of rows) for (const name of namesOf(row)) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}

/**
 * The names of the corruptions to make. Nothing asked: those that all rows have, with a warning of the others. Asked:
 * rows without one of them are refused.
 * @throws MechanistError `bad-input` when no row has one that is asked for
 */
function chooseCorruptions(task: TaskRows, asked: readonly string[] | undefined): readonly string[] {
  const counts = countCorruptions(task);
  if (asked === undefined) {
    const { length } = task.rows;
    for (const [name, count] of counts) {
      const without = task.rows.find((row) => corruptionOf(row, name) === undefined);
      if (without === undefined) continue;
      const message = `Only ${count} of ${length} rows have the corruption "${name}": it is left out. Give it to all rows, or to the header.`;
      task.reporterOf(without)([], 'no-corruption', message, 'warning');
    }
    return [...counts].flatMap(([name, count]) => (count === length ? [name] : []));
  }
  const answers = task.rows[0]?.item.answers ?? [];
  const names = [...new Set(asked.flatMap((name) => answers.map((answer) => corruptionFor(name, answer.name))))];
  const unknown = names.find((name) => !counts.has(name));
  if (unknown !== undefined) refuseUnknown(unknown, [...counts.keys()]);
  task.keep((row) => {
    const missing = names.find((name) => corruptionOf(row, name) === undefined);
    if (missing === undefined) return true;
    task.reporterOf(row)([], 'no-corruption', `This row does not have the corruption "${missing}".`);
    return false;
  });
  return names;
}

function refuseUnknown(name: string, known: readonly string[]): never {
  const near = nearestWord(name, known);
  const list = known.length === 0 ? 'It has none.' : `It has ${known.join(', ')}.`;
  const advice = near === null ? list : `Did you mean "${near}"? ${list}`;
  throw new MechanistError('bad-input', `The dataset has no corruption "${name}". ${advice}`, { corruption: name });
}

/** Warns of rows that a corruption leaves as they are, unless it says so itself by exchanging no role. */
function warnOfUnchanged(task: TaskRows, name: string, ids: readonly (readonly number[] | null)[]): void {
  // The reader of the row has said it of the row's own corrupted text.
  if (name === 'corrupted') return;
  const same = task.rows.filter((row, i) => {
    const steps = corruptionOf(row, name) ?? [];
    if (steps.every((step) => 'permute' in step && step.permute.length === 0)) return false;
    return ids[i]?.every((id, at) => id === row.item.clean[at].id) ?? false;
  });
  if (same.length === 0) return;
  const message = `The corruption "${name}" changes nothing in ${same.length} of ${task.rows.length} rows; this is the first.`;
  task.reporterOf(same[0])([], 'same-tokens', message, 'warning');
}

/**
 * Token ids of each corruption, for each row; rows that cannot be corrupted are taken out of `task`.
 * @throws MechanistError `bad-input` when no row has a corruption that is asked for, `cancelled`
 */
export function corruptTask(
  task: TaskRows,
  seed: number,
  tokenizer: Tokenizer,
  { corruptions: asked, signal }: TaskSetOptions,
): readonly { readonly name: string; readonly ids: readonly (readonly number[])[] }[] {
  const names = chooseCorruptions(task, asked);
  const sets = new TokenSets(task.header, tokenizer);
  const made = names.map((name) => {
    throwIfCancelled(signal);
    const rows = task.rows.map((row) => corruptible(row, name, sets, task.reporterOf(row)));
    const ids = corruptRows(rows, name, seed);
    warnOfUnchanged(task, name, ids);
    return { name, ids };
  });
  const good = task.rows.map((_, i) => made.every(({ ids }) => ids[i] !== null));
  task.keep((_, i) => good[i]);
  return made.map(({ name, ids }) => ({ name, ids: ids.flatMap((own, i) => (own !== null && good[i] ? [own] : [])) }));
}
