import { readFileSync } from 'node:fs';
import { derangement } from '../../src/core/engine/interventions/replacement.ts';
import type { ModelConfig } from '../../src/core/models/modelConfig.ts';
import type { ModelWeights } from '../../src/core/models/modelWeights.ts';
import type { Intervention } from '../../src/shared/intervention.ts';
import { type Matrix, type OracleRun, oracleRun } from './oracle.ts';

/** Runs without interventions, one per item, by name; `clean` is the batch itself. */
export type OracleRuns = ReadonlyMap<string, readonly OracleRun[]>;

interface Place {
  /** The oracle's name: attention maps carry their head. */
  readonly name: string;
  readonly item: number;
  readonly mapHead: number | null;
  /** Entries of the last axis. */
  readonly width: number;
  readonly length: number;
}

const MAPS = /^(.*(?:hook_pattern|hook_attn_scores))\.(\d+)$/;

const resolve = (position: number, length: number) => (position < 0 ? position + length : position);

function widthOf(hook: string, config: ModelConfig, value: Matrix): number {
  if (/hook_(?:rot_)?[qk]$|hook_v$|hook_z$/.test(hook)) return config.dHead;
  return hook.endsWith('hook_result') ? config.dModel : value[0].length;
}

function average(
  runs: readonly OracleRun[],
  name: string,
  items: readonly number[],
  rows: readonly number[],
  c: number,
) {
  const values = items.flatMap((item) => rows.map((row) => runs[item].activations.get(name)?.[row][c] ?? Number.NaN));
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** What stands at one hook of one item after one intervention, entry by entry from its definition. */
class Step {
  constructor(
    private readonly intervention: Intervention,
    private readonly runs: OracleRuns,
    private readonly batch: number,
    private readonly place: Place,
    private readonly moduleInput: Matrix | undefined,
  ) {}

  private selected(row: number, column: number): boolean {
    const { items, positions, heads, neurons } = this.intervention.at;
    const { item, mapHead, width, length } = this.place;
    const has = (list: readonly number[] | undefined, index: number) => list === undefined || list.includes(index);
    return (
      has(items, item) &&
      (positions === undefined || positions.some((position) => resolve(position, length) === row)) &&
      has(heads, mapHead ?? Math.floor(column / width)) &&
      has(neurons, column % width)
    );
  }

  private run(name: string | undefined): readonly OracleRun[] {
    return this.runs.get(name ?? 'clean') ?? [];
  }

  private from(runs: readonly OracleRun[], item: number, row: number, column: number): number {
    return runs[runs.length === 1 ? 0 : item].activations.get(this.place.name)?.[row][column] ?? Number.NaN;
  }

  private mean(row: number, column: number): number {
    const { intervention, place } = this;
    if (intervention.kind !== 'mean') return Number.NaN;
    const runs = this.run(intervention.of);
    const all = runs.map((_, index) => index);
    const rows = (runs[0].activations.get(place.name) ?? []).map((_, index) => index);
    const group = all.filter((index) => intervention.groups?.[index] === intervention.groups?.[place.item]);
    switch (intervention.over) {
      case 'batch':
        return average(runs, place.name, all, [row], column);
      case 'group':
        return average(runs, place.name, group, [row], column);
      case 'position':
        return average(runs, place.name, [runs.length === 1 ? 0 : place.item], rows, column);
      case 'all':
        return average(runs, place.name, all, rows, column);
    }
  }

  private entry(value: Matrix, row: number, column: number): number {
    const { intervention, place } = this;
    const { width, length } = place;
    const e = column % width;
    const old = value[row][column];
    switch (intervention.kind) {
      case 'zero':
        return 0;
      case 'set':
        return typeof intervention.value === 'number' ? intervention.value : intervention.value[e];
      case 'add':
        return old + intervention.vector[e] * (intervention.factor ?? 1);
      case 'scale':
        return old * intervention.factor;
      case 'mean':
        return this.mean(row, column);
      case 'resample':
        return this.from(
          this.run(intervention.of),
          derangement(this.batch, intervention.seed)[place.item],
          row,
          column,
        );
      case 'freeze':
        return this.from(this.run(intervention.of), place.item, row, column);
      case 'patch': {
        const { run, items, positions } = intervention.from;
        const written = intervention.at.positions?.map((position) => resolve(position, length));
        const index = written?.indexOf(row) ?? row;
        const source = positions === undefined ? row : resolve(positions[index], length);
        return this.from(this.run(run), items?.[place.item] ?? place.item, source, column);
      }
      case 'projectOut': {
        const { direction } = intervention;
        const own = value[row].slice(column - e, column - e + width);
        const product = own.reduce((sum, x, i) => sum + x * direction[i], 0);
        return old - (product * direction[e]) / direction.reduce((sum, x) => sum + x * x, 0);
      }
      case 'swapPositions': {
        let source = row;
        for (const [a, b] of [...intervention.pairs].reverse()) {
          const [first, second] = [resolve(a, length), resolve(b, length)];
          source = source === first ? second : source === second ? first : source;
        }
        return value[source][column];
      }
      case 'editPattern': {
        const at = intervention.entries.filter(
          (x) => resolve(x.query, length) === row && resolve(x.key, length) === column,
        );
        return at.at(-1)?.value ?? old;
      }
      case 'lowRank': {
        const { p, a, b } = intervention;
        const linear = typeof p === 'number' ? p * old : value[row].reduce((sum, y, i) => sum + y * p[i][column], 0);
        const x = this.moduleInput?.[row] ?? [];
        const inner = a.right.map((_, r) => x.reduce((sum, own, i) => sum + own * a.left[i][r], 0));
        return linear + inner.reduce((sum, own, r) => sum + own * a.right[r][column], 0) + (b?.[column] ?? 0);
      }
    }
  }

  apply(value: Matrix, hidden: (row: number, column: number) => boolean): Matrix {
    const { intervention } = this;
    const next = value.map((row, r) =>
      row.map((old, c) => (this.selected(r, c) && !hidden(r, c) ? this.entry(value, r, c) : old)),
    );
    const { kind } = intervention;
    if ((kind !== 'editPattern' && kind !== 'patch') || intervention.renormalise !== true) return next;
    const touched = (r: number) => {
      if (kind === 'patch') return next[r].some((_, c) => this.selected(r, c));
      return this.selected(r, 0) && intervention.entries.some(({ query }) => resolve(query, this.place.length) === r);
    };
    return next.map((row, r) => {
      if (!touched(r)) return row;
      const total = row.reduce((sum, x) => sum + x, 0);
      return row.map((x) => x / total);
    });
  }
}

function gainOf(weights: ModelWeights, layer: number, norm: 'norm1' | 'norm2'): number[] {
  const { file, offset, byteLength } = weights.blocks[layer][norm].gain;
  const bytes = readFileSync(file);
  return Array.from({ length: byteLength / 4 }, (_, i) => bytes.readFloatLE(offset + 4 * i));
}

/** One item of a batch through the oracle with interventions, whose hooks carry their layer. */
export function oracleRunWith(
  config: ModelConfig,
  weights: ModelWeights,
  tokens: readonly (readonly number[])[],
  item: number,
  interventions: readonly Intervention[],
  runs: OracleRuns,
): OracleRun {
  const inputs = new Map<string, Matrix>();
  return oracleRun(config, weights, tokens[item], new Map(), (name, given) => {
    const match = MAPS.exec(name);
    const hook = match?.[1] ?? name;
    const layer = Number(/^blocks\.(\d+)/.exec(name)?.[1] ?? 0);
    const width = match === null ? widthOf(hook, config, given) : given[0].length;
    const place = { name, item, mapHead: match === null ? null : Number(match[2]), width, length: given.length };
    const window = config.attention.windows[layer] ?? given.length;
    const hidden = (row: number, column: number) => match !== null && (column > row || row - column >= window);
    const input = inputs.get(`${layer} ${hook.endsWith('hook_attn_out') ? 'ln1' : 'ln2'}`);
    const value = interventions
      .filter(({ at }) => at.hook === hook)
      .reduce((x, own) => new Step(own, runs, tokens.length, place, input).apply(x, hidden), given);
    for (const norm of ['ln1', 'ln2'] as const) {
      if (!name.endsWith(`${norm}.hook_normalized`)) continue;
      const gain = config.norm.kind === 'layernorm' ? null : gainOf(weights, layer, norm === 'ln1' ? 'norm1' : 'norm2');
      inputs.set(
        `${layer} ${norm}`,
        value.map((row) => row.map((x, i) => x * (gain?.[i] ?? 1))),
      );
    }
    return value;
  });
}
