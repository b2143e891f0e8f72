import type { BarPicture, MatrixPicture, TablePicture } from '../../../shared/figures.ts';
import { signed } from '../../../shared/format.ts';
import type { CellResult, StepContext, StepResult } from '../../experiments/stepKind.ts';
import { rowChunks } from '../../experiments/steps/cellIds.ts';
import { estimateOf, meanOf } from '../../experiments/steps/estimate.ts';
import { headName } from '../../experiments/steps/heads.ts';
import type { MapNumbers, PartNumbers } from '../headsMap.ts';
import { pairRows, signWarnings } from '../pairRows.ts';
import { spearman, topOverlap } from '../rankCorrelation.ts';
import { type HeadsMapParams, type MapCell, type NormCell, reachOfMap } from './headsMapParams.ts';

/** The maps, in the order in which they are shown. */
const MEASURES = ['norm', 'direct', 'difference', 'patched', 'total'] as const;
type Measure = (typeof MEASURES)[number];

const measuresOf = ({ total }: HeadsMapParams): readonly Measure[] =>
  MEASURES.filter((measure) => measure !== 'total' || total !== undefined);

const DEFAULT_TOP = 10;
/** Largest share of the observable by which its parts may miss it: float32 sums of large numbers. */
const SUM_LIMIT = 1e-3;

/** One number of a part in each row; the norm has one in all. */
function rowsOf(part: PartNumbers | undefined, measure: Measure): readonly number[] {
  if (part === undefined || measure === 'norm') return [];
  if (measure === 'difference') return part.direct.map((value, i) => value - part.corrupted[i]);
  return part[measure] ?? [];
}

/** What the cells that are there have found. */
class Findings {
  readonly cells: readonly MapCell[];
  readonly norms: NormCell['norms'] | null;
  readonly heads: readonly { readonly layer: number; readonly head: number; readonly name: string }[];
  private readonly values = new Map<Measure, readonly (number | null)[]>();

  constructor(
    private readonly context: StepContext,
    private readonly params: HeadsMapParams,
    results: ReadonlyMap<string, CellResult>,
  ) {
    const { nHeads } = context.model.config;
    this.heads = Array.from({ length: reachOfMap(context, params).headLayers * nHeads }, (_, i) => {
      const [layer, head] = [Math.floor(i / nHeads), i % nHeads];
      return { layer, head, name: headName(layer, head) };
    });
    const chunks = rowChunks(pairRows(context.task, params).length);
    this.cells = chunks.flatMap(({ id }) => results.get(id) ?? []) as unknown as MapCell[];
    this.norms = (results.get('weights') as NormCell | undefined)?.norms ?? null;
  }

  get n(): number {
    return this.cells.reduce((sum, { clean }) => sum + clean.length, 0);
  }

  rows(part: (numbers: MapNumbers) => PartNumbers | undefined, measure: Measure): readonly number[] {
    return this.cells.flatMap((cell) => rowsOf(part(cell), measure));
  }

  /** By head, in the order of `heads`. */
  private byHead(measure: Measure): readonly (number | null)[] {
    const known = this.values.get(measure);
    if (known !== undefined) return known;
    const values = this.heads.map(({ layer, head }) =>
      measure === 'norm'
        ? (this.norms?.[layer]?.[head] ?? null)
        : meanOf(this.rows(({ heads }) => heads[layer][head], measure)),
    );
    this.values.set(measure, values);
    return values;
  }

  head(layer: number, head: number, measure: Measure): number | null {
    return this.byHead(measure)[layer * this.context.model.config.nHeads + head] ?? null;
  }

  /** By head, in the order of `heads`; null where one is missing. */
  all(measure: Measure): readonly number[] | null {
    const values = this.byHead(measure);
    return values.every((value) => value !== null) ? values : null;
  }

  side(side: 'clean' | 'corrupted'): number[] {
    return this.cells.flatMap((cell) => cell[side]);
  }

  /** Largest miss of the parts' sum, in logits. */
  get miss(): number {
    const misses = this.cells.flatMap(({ heads, mlps, embedding, biases, clean, constant }) =>
      clean.map((value, row) => {
        const parts = [...heads.flat(), ...mlps, embedding, biases];
        return Math.abs(parts.reduce((sum, { direct }) => sum + direct[row], constant) - value);
      }),
    );
    return Math.max(0, ...misses);
  }

  /** MLPs, embedding and biases. */
  get others(): readonly { readonly name: string; readonly part: (numbers: MapNumbers) => PartNumbers | undefined }[] {
    const { mlpLayers } = reachOfMap(this.context, this.params);
    return [
      { name: 'emb', part: ({ embedding }) => embedding },
      ...Array.from({ length: mlpLayers }, (_, layer) => ({
        name: `MLP ${layer}`,
        part: ({ mlps }: MapNumbers) => mlps[layer],
      })),
      { name: 'b_O', part: ({ biases }) => biases },
    ];
  }
}

const TITLES: Readonly<Record<Measure, string>> = {
  norm: 'Norm of the feature',
  direct: 'Direct contribution',
  difference: 'Clean − corrupted',
  patched: 'Patched effect',
  total: 'Patched in the whole model',
};

function wordsOf(measure: Measure, label: string, { under, total }: HeadsMapParams): string {
  const through = under === undefined ? '' : ` through ${under}`;
  switch (measure) {
    case 'norm':
      return under === undefined
        ? `|√d γ W_V W_O √d γ n| for ${label}: weights alone, no data`
        : `of the feature ${label} at ${under} <= head; scales of inputs left out`;
    case 'direct':
      return `what a head writes along ${label}${through} on the clean prompts, norms frozen at each prompt; mean`;
    case 'difference':
      return `direct contribution${through}, clean less corrupted; mean`;
    case 'patched':
      return under === undefined
        ? `fall of ${label} when what the head writes to the final stream comes from the corrupted run, pattern and values; final norm real; mean`
        : `fall of ${label} when what the head writes to ${under} comes from the corrupted run, along this path alone, its patterns clean; mean`;
    case 'total':
      return total === 'denoising'
        ? `rise of ${label} in the corrupted run when the head's z at every position is the clean run's; mean`
        : `fall of ${label} in the clean run when the head's z at every position is the corrupted run's; mean`;
  }
}

const shareOf = (value: number | null, largest: number) => (value === null ? null : value / (largest || 1));

function matrixOf(found: Findings, context: StepContext, params: HeadsMapParams, measure: Measure): MatrixPicture {
  const { nHeads } = context.model.config;
  const { headLayers } = reachOfMap(context, params);
  const { label } = context.observable(params.observable);
  const layers = Array.from({ length: headLayers }, (_, layer) => layer);
  const heads = Array.from({ length: nHeads }, (_, head) => head);
  const values = layers.map((layer) => heads.map((head) => found.head(layer, head, measure)));
  const known = found.heads.filter(({ layer, head }) => values[layer][head] !== null);
  const size = ({ layer, head }: { layer: number; head: number }) => Math.abs(values[layer][head] ?? 0);
  const top = known.reduce<(typeof known)[number] | null>((a, b) => (a === null || size(b) > size(a) ? b : a), null);
  const most = top === null ? '' : `: most at ${top.name}, ${signed(values[top.layer][top.head] ?? 0)}`;
  const unit = {
    norm: 'share of the largest',
    direct: 'logits, clean',
    difference: 'logits',
    patched: 'logits',
    total: 'logits',
  };
  const isNorm = measure === 'norm';
  // Norms have no unit that says anything by itself: they are compared.
  const shown = isNorm && top !== null ? values.map((row) => row.map((value) => shareOf(value, size(top)))) : values;
  return {
    ...{ type: 'matrix', id: measure, values: shown, unit: unit[measure] },
    title: `${TITLES[measure]}${isNorm ? most.replace('+', '') : most}`,
    subtitle: `${wordsOf(measure, label, params)}${isNorm ? '; as a share of the largest' : `; n = ${found.n}`}`,
    rows: { name: 'layer', labels: layers.map((layer) => `L${layer}`) },
    columns: { name: 'head', labels: heads.map((head) => `H${head}`) },
    scale: isNorm ? 'sequential' : 'diverging',
    descend: { under: params.under ?? null, tokens: context.task.roles },
  };
}

/** Everything that is no head, in one strip a measure. */
function othersPicture(found: Findings, { seed }: StepContext): BarPicture {
  const groups = (['direct', 'difference', 'patched'] as const).map((measure) => ({
    label: TITLES[measure],
    bars: found.others.flatMap(({ name, part }) => {
      const estimate = estimateOf(found.rows(part, measure), seed);
      return estimate === null ? [] : [{ label: name, ...estimate }];
    }),
  }));
  return {
    ...{ type: 'bars', id: 'others', title: 'MLPs, embedding and output biases', unit: 'logits', spread: 'interval' },
    subtitle: `the same three numbers; mean with 95 % interval, n = ${found.n}`,
    groups,
  };
}

/** How two maps agree. */
interface Agreement {
  readonly pair: readonly [Measure, Measure];
  readonly spearman: number | null;
  readonly overlap: number;
}

function agreements(found: Findings, measures: readonly Measure[], top: number): readonly Agreement[] {
  return measures.flatMap((a, i) =>
    measures.slice(i + 1).flatMap((b): Agreement[] => {
      const [x, y] = [a, b].map((measure) => found.all(measure)?.map(Math.abs) ?? null);
      if (x === null || y === null) return [];
      return [{ pair: [a, b], spearman: spearman(x, y), overlap: topOverlap(x, y, top) }];
    }),
  );
}

function agreementTable(all: readonly Agreement[], top: number, heads: number): TablePicture {
  return {
    ...{ type: 'table', id: 'agreement', title: 'How the maps agree' },
    subtitle: `rank correlation of sizes over ${heads} heads; how many of the ${top} largest are the same`,
    columns: [{ name: 'map' }, { name: 'and' }, { name: 'Spearman', unit: 'correlation' }, { name: `of top ${top}` }],
    rows: all.map(({ pair, spearman: rho, overlap }) => [...pair.map((measure) => TITLES[measure]), rho, overlap]),
  };
}

function topTable(found: Findings, seed: number, top: number): TablePicture {
  const size = ({ layer, head }: { layer: number; head: number }) => Math.abs(found.head(layer, head, 'patched') ?? 0);
  const heads = [...found.heads].sort((a, b) => size(b) - size(a)).slice(0, top);
  const logits = (name: string) => ({ name, unit: 'logits' });
  const largest = Math.max(0, ...(found.all('norm') ?? []));
  return {
    ...{ type: 'table', id: 'top', title: 'Heads with the largest patched effect' },
    subtitle: `low and high: 95 % interval of the patched effect, n = ${found.n}`,
    columns: [
      ...[{ name: 'head' }, logits('patched'), logits('low'), logits('high')],
      ...[logits('difference'), logits('direct'), { name: 'norm', unit: 'share of the largest' }],
    ],
    rows: heads.map(({ layer, head, name }) => {
      const estimate = estimateOf(
        found.rows((numbers) => numbers.heads[layer][head], 'patched'),
        seed,
      );
      const [low, high] = estimate?.interval ?? [null, null];
      const others = (['difference', 'direct'] as const).map((measure) => found.head(layer, head, measure));
      return [name, estimate?.mean ?? null, low, high, ...others, shareOf(found.head(layer, head, 'norm'), largest)];
    }),
  };
}

function valuesOf(found: Findings, all: readonly Agreement[]): Record<string, number> {
  const values: Record<string, number> = {};
  const set = (name: string, value: number | null) => {
    if (value !== null) values[name] = value;
  };
  for (const measure of MEASURES) {
    for (const { layer, head, name } of found.heads) set(`${measure}.${name}`, found.head(layer, head, measure));
    for (const { name, part } of found.others) {
      set(`${measure}.${name.replace(' ', '')}`, meanOf(found.rows(part, measure)));
    }
  }
  for (const { pair, spearman: rho, overlap } of all) {
    set(`spearman.${pair.join('.')}`, rho);
    set(`overlap.${pair.join('.')}`, overlap);
  }
  set('clean', meanOf(found.side('clean')));
  set('corrupted', meanOf(found.side('corrupted')));
  if (found.n > 0) set('miss', found.miss);
  return values;
}

function sumWarnings({ miss, cells }: Findings): string[] {
  const largest = Math.max(1, ...cells.flatMap(({ clean }) => clean.map(Math.abs)));
  if (miss <= SUM_LIMIT * largest) return [];
  return [`The parts miss what they should sum up to by up to ${signed(miss).slice(1)} logits: do not trust them.`];
}

/** Puts the maps together. */
export function headsMapFigures(
  context: StepContext,
  params: HeadsMapParams,
  results: ReadonlyMap<string, CellResult>,
): StepResult {
  const { under, top = DEFAULT_TOP } = params;
  const found = new Findings(context, params, results);
  const { label } = context.observable(params.observable);
  const all = agreements(found, measuresOf(params), top);
  const [clean, corrupted] = [found.side('clean'), found.side('corrupted')];
  const what = under === undefined ? label : `${label} through ${under}`;
  const sides = `clean ${signed(meanOf(clean) ?? 0)}, corrupted ${signed(meanOf(corrupted) ?? 0)}`;
  return {
    title: `What writes ${what}`,
    subtitle: `${sides} logits; n = ${found.n}`,
    pictures: [
      ...measuresOf(params).map((measure) => matrixOf(found, context, params, measure)),
      othersPicture(found, context),
      agreementTable(all, top, found.heads.length),
      topTable(found, context.seed, top),
    ],
    values: valuesOf(found, all),
    warnings: [...sumWarnings(found), ...(under === undefined ? signWarnings(clean, corrupted) : [])],
    ablation: 'activations of the corrupted prompt',
  };
}
