import { MechanistError } from '../../../shared/errors.ts';
import type { Intervention } from '../../../shared/intervention.ts';
import type { ModelConfig } from '../../models/modelConfig.ts';
import { hookName } from '../hookPoints.ts';
import type { BatchShape } from './hookAxes.ts';
import type { InterventionStep, RunShape } from './parseInterventions.ts';

type Of<K extends Intervention['kind']> = Extract<Intervention, { kind: K }>;

function refuse(message: string): never {
  throw new MechanistError('bad-input', message);
}

function checkWidth(values: readonly number[], { axes, point }: InterventionStep, what: string): void {
  const width = axes.dims[axes.entries];
  if (values.length === width) return;
  refuse(`${what} has ${values.length} numbers; ${hookName(point)} has ${width}.`);
}

function runOf(name: string, { runs }: RunShape): BatchShape {
  const found = runs.get(name);
  if (found !== undefined) return found;
  const known = [...runs.keys()];
  return refuse(
    `There is no run "${name}". ${known.length === 0 ? 'No runs were given.' : `Runs are ${known.join(', ')}.`}`,
  );
}

function checkIndices(given: readonly number[] | undefined, of: number, what: string): void {
  for (const index of given ?? []) {
    if (index < 0 || index >= of) refuse(`There is no ${what} ${index}: there are ${of} (0 to ${of - 1}).`);
  }
}

/** A run that is read item by item and position by position: as many items (or one for all), as many positions. */
function checkSameShape(name: string | undefined, shape: RunShape): void {
  if (name === undefined) return;
  const run = runOf(name, shape);
  if (run.length !== shape.length) {
    refuse(`Run "${name}" has ${run.length} positions, this one ${shape.length}. Give them the same number of tokens.`);
  }
  if (run.batch !== 1 && run.batch !== shape.batch) {
    refuse(`Run "${name}" has ${run.batch} items, this one ${shape.batch}.`);
  }
}

function checkPatch(step: InterventionStep, { from, renormalise }: Of<'patch'>, shape: RunShape): void {
  if (renormalise === true && step.point.hook !== 'attn.hook_pattern') {
    refuse(`Only rows of attn.hook_pattern can be renormalised, not ${hookName(step.point)}.`);
  }
  const run = runOf(from.run, shape);
  if (from.items !== undefined && from.items.length !== shape.batch) {
    refuse(`"from.items" names ${from.items.length} items; this run has ${shape.batch}.`);
  }
  checkIndices(from.items, run.batch, `item of run "${from.run}"`);
  if (from.items === undefined && run.batch !== 1 && run.batch < shape.batch) {
    refuse(`Run "${from.run}" has ${run.batch} items, this one ${shape.batch}: say which with "from.items".`);
  }
  const written = step.selection.positions ?? Array.from({ length: shape.length }, (_, i) => i);
  const read = from.positions?.map((position) => (position < 0 ? position + run.length : position)) ?? written;
  if (read.length !== written.length) {
    refuse(`"from.positions" names ${read.length} positions; ${written.length} are written.`);
  }
  if (read.some((position) => position < 0 || position >= run.length)) {
    refuse(
      `Run "${from.run}" has ${run.length} positions (0 to ${run.length - 1}), this one ${shape.length}: say which to read with "from.positions".`,
    );
  }
  if (step.axes.isMap && run.length !== shape.length) {
    refuse(`Attention maps can be patched only between runs of the same number of tokens.`);
  }
}

function checkMean(step: InterventionStep, { over, groups, of }: Of<'mean'>, shape: RunShape): void {
  if (over === 'group' && groups === undefined) refuse('A mean over groups needs "groups", the group of each item.');
  if (over !== 'group' && groups !== undefined) refuse('"groups" belongs to a mean over "group".');
  if (groups !== undefined && groups.length !== shape.batch) {
    refuse(`"groups" has ${groups.length} entries; this run has ${shape.batch} items.`);
  }
  if (step.point.hook === 'attn.hook_attn_scores' && (over === 'position' || over === 'all')) {
    refuse('A mean of attention scores over queries would mix masked entries in. Take it over batch or group.');
  }
  if (of === undefined) return;
  const run = runOf(of, shape);
  if (over === 'group' && run.batch !== shape.batch) {
    refuse(`Run "${of}" has ${run.batch} items, "groups" ${shape.batch}.`);
  }
  if (over === 'position') checkSameShape(of, { ...shape, length: run.length });
  if (run.length !== shape.length && (step.axes.isMap || over === 'batch' || over === 'group')) {
    refuse(`Run "${of}" has ${run.length} positions, this one ${shape.length}: take the mean over positions too.`);
  }
}

function checkResample({ of }: Of<'resample'>, shape: RunShape): void {
  checkSameShape(of, shape);
  if (of === undefined && shape.batch < 2)
    refuse('Resampling takes values of other items of the batch: give at least two prompts.');
}

function checkSwap({ selection }: InterventionStep, { pairs }: Of<'swapPositions'>, { length }: RunShape): void {
  if (selection.positions !== undefined) refuse('"pairs" says which positions are swapped; leave "positions" out.');
  checkIndices(
    pairs.flat().map((position) => (position < 0 ? position + length : position)),
    length,
    'position',
  );
}

function checkEntries(step: InterventionStep, { entries }: Of<'editPattern'>, config: ModelConfig): void {
  const { point, selection, axes } = step;
  if (point.kind !== 'block' || point.hook !== 'attn.hook_pattern') {
    refuse(`Pattern entries can be set only at attn.hook_pattern, not at ${hookName(point)}.`);
  }
  if (selection.positions !== undefined || selection.neurons !== undefined) {
    refuse('"entries" says which queries and keys are set; leave "positions" and "neurons" out.');
  }
  const length = axes.dims[axes.positions];
  const window = config.attention.windows[point.layer] ?? length;
  const resolve = (position: number) => (position < 0 ? position + length : position);
  checkIndices(
    entries.map(({ query }) => resolve(query)),
    length,
    'query',
  );
  checkIndices(
    entries.map(({ key }) => resolve(key)),
    length,
    'key',
  );
  for (const { query, key } of entries) {
    const back = resolve(query) - resolve(key);
    if (back < 0) refuse(`Query ${query} cannot look at key ${key}, which comes later.`);
    if (back >= window) refuse(`Query ${query} cannot look at key ${key}: layer ${point.layer} looks ${window} back.`);
  }
}

function checkMatrix(rows: readonly (readonly number[])[], height: number, width: number, what: string): void {
  if (rows.length === height && rows.every((row) => row.length === width)) return;
  refuse(`"${what}" must be ${height} rows of ${width} numbers.`);
}

function checkLowRank({ point }: InterventionStep, { p, a, b }: Of<'lowRank'>, { dModel }: ModelConfig): void {
  if (point.hook !== 'hook_attn_out' && point.hook !== 'hook_mlp_out') {
    refuse(`A module can be replaced only at hook_attn_out and hook_mlp_out, not at ${hookName(point)}.`);
  }
  if (typeof p !== 'number') checkMatrix(p, dModel, dModel, 'p');
  const rank = a.right.length;
  checkMatrix(a.left, dModel, rank, 'a.left');
  checkMatrix(a.right, rank, dModel, 'a.right');
  if (b !== undefined && b.length !== dModel) refuse(`"b" has ${b.length} numbers; the model's width is ${dModel}.`);
}

/**
 * Checks what belongs to the kind of an intervention: widths of vectors, names and shapes of runs, places it can act at.
 * @throws MechanistError `bad-input`
 */
export function checkKind(step: InterventionStep, config: ModelConfig, shape: RunShape): void {
  const { intervention } = step;
  switch (intervention.kind) {
    case 'zero':
    case 'scale':
      break;
    case 'set':
      if (typeof intervention.value !== 'number') checkWidth(intervention.value, step, '"value"');
      break;
    case 'add':
      checkWidth(intervention.vector, step, '"vector"');
      break;
    case 'projectOut':
      checkWidth(intervention.direction, step, '"direction"');
      if (intervention.direction.every((x) => x === 0)) refuse('"direction" is 0: it points nowhere.');
      break;
    case 'patch':
      checkPatch(step, intervention, shape);
      break;
    case 'mean':
      checkMean(step, intervention, shape);
      break;
    case 'resample':
      checkResample(intervention, shape);
      break;
    case 'freeze':
      checkSameShape(intervention.of, shape);
      break;
    case 'swapPositions':
      checkSwap(step, intervention, shape);
      break;
    case 'editPattern':
      checkEntries(step, intervention, config);
      break;
    case 'lowRank':
      checkLowRank(step, intervention, config);
      break;
  }
}
