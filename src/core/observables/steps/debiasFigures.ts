import type { CurvePicture, Estimate, Picture, TablePicture } from '../../../shared/figures.ts';
import type { CellResult, StepContext, StepResult } from '../../experiments/stepKind.ts';
import { estimateOf, meanOf } from '../../experiments/steps/estimate.ts';
import type { DebiasedLayer, DebiasMode, EditedPairs, OfSides } from '../debiasLayer.ts';
import { debiasVerdict } from '../debiasVerdict.ts';
import type { TextLoss } from '../textLoss.ts';
import { flipWarnings } from './flipWarnings.ts';

/** What a layer leaves. */
export interface DebiasCell extends DebiasedLayer {
  readonly feature: { readonly name: string; readonly hook: string; readonly warnings: readonly string[] };
  readonly role: string;
  /** Where it was changed. */
  readonly hook: string;
  /** Row of each pair. */
  readonly rows: readonly number[];
  readonly forwardPasses: number;
}

interface Labels {
  readonly bias: string;
  readonly protected: string;
}

const MODE_WORDS: Readonly<Record<DebiasMode, string>> = {
  'project-out': 'projecting out',
  'set-to-mean': 'setting to the mean',
  'pair-patch': 'patching from the partner',
};

const ALL = 'all rows';

/** Gap of each pair: clean − corrupted. */
const gaps = ({ clean, corrupted }: OfSides, of: readonly number[]) => of.map((i) => clean[i] - corrupted[i]);
const meanGap = (values: OfSides) => meanOf(gaps(values, [...values.clean.keys()])) ?? 0;
const lossOf = (loss: TextLoss | null | undefined) => (loss == null || loss.n === 0 ? null : loss.sum / loss.n);

/** Mean KL over the prompts that were edited. */
function klOf({ kl }: EditedPairs, mode: DebiasMode, of: readonly number[]): number {
  const sides = mode === 'pair-patch' ? [kl.corrupted] : [kl.clean, kl.corrupted];
  return meanOf(sides.flatMap((side) => of.map((i) => side[i]))) ?? 0;
}

/** Pairs of each tag, as indices; all first. */
function groupsOf({ task }: StepContext, rows: readonly number[]): readonly { name: string; of: readonly number[] }[] {
  const all = rows.map((_, i) => i);
  const tags = [...new Set(rows.flatMap((row) => task.items[row].tags))].sort();
  const own = tags.map((name) => ({ name, of: all.filter((i) => task.items[rows[i]].tags.includes(name)) }));
  return [{ name: ALL, of: all }, ...own.filter(({ of }) => of.length < all.length)];
}

function groupTable(
  context: StepContext,
  cell: DebiasCell,
  modes: readonly DebiasMode[],
  labels: Labels,
): TablePicture {
  const rows = modes.flatMap((mode) => {
    const edited = cell.modes[mode];
    if (edited === undefined) return [];
    const control = [lossOf(cell.control), lossOf(edited.control)];
    return groupsOf(context, cell.rows).map(({ name, of }) => {
      const pair = (what: 'bias' | 'protected') => [gaps(cell.before[what], of), gaps(edited[what], of)].map(meanOf);
      return [
        ...[mode, name, of.length, ...pair('bias'), ...pair('protected'), klOf(edited, mode, of)],
        ...(name === ALL ? [edited.control === null ? null : control[0], control[1]] : [null, null]),
      ];
    });
  });
  return {
    ...{ type: 'table', id: 'groups', title: `What it does at ${cell.hook}`, rows },
    subtitle: `gap: clean − corrupted, mean over the rows; KL of the next tokens, summed over the vocabulary, from the unchanged run; control: cross-entropy of the next tokens`,
    columns: [
      ...[{ name: 'change' }, { name: 'rows' }, { name: 'n' }],
      ...[`${labels.bias} before`, `${labels.bias} after`].map((name) => ({ name, unit: 'logits' })),
      ...[`${labels.protected} before`, `${labels.protected} after`].map((name) => ({ name, unit: 'logits' })),
      ...['KL', 'control before', 'control after'].map((name) => ({ name, unit: 'nats' })),
    ],
  };
}

function layerTable(
  cells: ReadonlyMap<number, DebiasCell>,
  modes: readonly DebiasMode[],
  labels: Labels,
): TablePicture {
  const rows = modes.flatMap((mode) =>
    [...cells].flatMap(([layer, cell]) => {
      const edited = cell.modes[mode];
      if (edited === undefined) return [];
      const all = cell.rows.map((_, i) => i);
      const pair = (what: 'bias' | 'protected') => [meanGap(cell.before[what]), meanGap(edited[what])];
      const control = edited.control === null ? null : lossOf(edited.control);
      return [[mode, `L${layer}`, ...pair('bias'), ...pair('protected'), klOf(edited, mode, all), control]];
    }),
  );
  return {
    ...{ type: 'table', id: 'layers', title: 'Where the change has an effect', rows },
    subtitle: 'where the gap stays, the model has moved on what it read, or reads it along another direction',
    columns: [
      ...[{ name: 'change' }, { name: 'layer' }],
      ...[`${labels.bias} before`, `${labels.bias} after`].map((name) => ({ name, unit: 'logits' })),
      ...[`${labels.protected} before`, `${labels.protected} after`].map((name) => ({ name, unit: 'logits' })),
      ...['KL', 'control'].map((name) => ({ name, unit: 'nats' })),
    ],
  };
}

function layerCurve(
  { seed }: StepContext,
  cells: ReadonlyMap<number, DebiasCell>,
  mode: DebiasMode,
  layers: readonly number[],
  labels: Labels,
): CurvePicture {
  const point = (layer: number, what: 'bias' | 'protected'): Estimate | null => {
    const edited = cells.get(layer)?.modes[mode];
    return edited === undefined ? null : estimateOf(gaps(edited[what], [...edited[what].clean.keys()]), seed);
  };
  const [first] = cells.values();
  return {
    ...{ type: 'curve', id: mode, title: `Gaps after ${MODE_WORDS[mode]}, by layer`, bands: [], unit: 'logits' },
    subtitle:
      'gap: clean − corrupted, mean over the pairs, 95 % bootstrap interval; dashes at the right: unchanged model',
    x: { name: 'layer', labels: layers.map((layer) => `L${layer}`) },
    series: (['bias', 'protected'] as const).map((what) => ({
      name: labels[what],
      points: layers.map((layer) => point(layer, what)),
      emphasised: what === 'bias',
      reference: meanGap(first.before[what]),
    })),
  };
}

function verdictsOf(cells: ReadonlyMap<number, DebiasCell>, modes: readonly DebiasMode[], labels: Labels) {
  return modes.flatMap((mode) =>
    [...cells].flatMap(([layer, cell]) => {
      const edited = cell.modes[mode];
      if (edited === undefined) return [];
      const gap = (what: 'bias' | 'protected') => ({
        ...{ label: labels[what], before: meanGap(cell.before[what]), after: meanGap(edited[what]) },
      });
      const [before, after] = [lossOf(cell.control), lossOf(edited.control)];
      const verdict = debiasVerdict({
        what: `${MODE_WORDS[mode]} at L${layer}`,
        bias: gap('bias'),
        protected: gap('protected'),
        control: before === null || after === null ? null : { before, after },
      });
      return [{ mode, layer, own: cell.hook === cell.feature.hook, ...verdict }];
    }),
  );
}

function valuesOf(cells: ReadonlyMap<number, DebiasCell>, modes: readonly DebiasMode[]): Record<string, number> {
  const values: Record<string, number> = {};
  for (const [layer, cell] of cells) {
    values['before.bias'] ??= meanGap(cell.before.bias);
    values['before.protected'] ??= meanGap(cell.before.protected);
    const control = lossOf(cell.control);
    if (control !== null) values['before.control'] ??= control;
    for (const mode of modes) {
      const edited = cell.modes[mode];
      if (edited === undefined) continue;
      const name = `L${layer}.${mode}`;
      values[`${name}.bias`] = meanGap(edited.bias);
      values[`${name}.protected`] = meanGap(edited.protected);
      values[`${name}.kl`] = klOf(edited, mode, [...cell.rows.keys()]);
      const loss = lossOf(edited.control);
      if (loss !== null) values[`${name}.control`] = loss;
    }
  }
  return values;
}

const NO_CONTROL =
  'There are no control texts: nothing is known of what the change costs elsewhere. Name a file under control:, or tag rows with control.';

/** Puts the layers together; what is missing is left out. */
export function assembleDebias(
  context: StepContext,
  { modes, layers }: { readonly modes: readonly DebiasMode[]; readonly layers: readonly number[] },
  labels: Labels,
  results: ReadonlyMap<string, CellResult>,
): StepResult {
  const cells = new Map<number, DebiasCell>();
  for (const layer of layers) {
    const cell = results.get(`L${layer}`) as unknown as DebiasCell | undefined;
    if (cell !== undefined) cells.set(layer, cell);
  }
  const base = { title: `Removing ${labels.bias}`, ablation: 'the part along one direction' };
  if (cells.size === 0) return { ...base, subtitle: 'no layer is run yet', pictures: [], values: {}, warnings: [] };
  const [[, first]] = cells;
  const own = [...cells.values()].find(({ hook, feature }) => hook === feature.hook);
  const verdicts = verdictsOf(cells, modes, labels);
  const spoken: TablePicture = {
    ...{ type: 'table', id: 'verdicts', title: 'What may be said of it' },
    subtitle: `of ${first.feature.name}, at the role ${first.role}; never on the gap of ${labels.bias} alone`,
    columns: [{ name: 'change' }, { name: 'layer' }, { name: 'verdict' }, { name: 'why' }],
    rows: verdicts.map(({ mode, layer, kind, sentence }) => [mode, `L${layer}`, kind, sentence]),
  };
  const pictures: Picture[] = [
    ...(own === undefined ? [] : [groupTable(context, own, modes, labels)]),
    ...modes.map((mode) => layerCurve(context, cells, mode, layers, labels)),
    layerTable(cells, modes, labels),
    spoken,
  ];
  const head = verdicts.find((verdict) => verdict.own) ?? verdicts[0];
  return {
    ...base,
    title: head.headline,
    subtitle: `${first.feature.name} · changed at ${first.role} · ${first.rows.length} pairs of ${context.task.name}`,
    pictures,
    values: valuesOf(cells, modes),
    warnings: [
      ...first.feature.warnings,
      ...flipWarnings(context.task, first.rows, first.before.bias, labels.bias),
      ...(first.control === null ? [NO_CONTROL] : []),
    ],
  };
}
