import { withCells } from '../../src/shared/gridCells.ts';
import type { GridCell, GridDocument, GridItem, GridRequest, PatchSite } from '../../src/shared/gridDocument.ts';
import type { GridPanelState } from '../../src/shared/gridPanelProtocol.ts';
import { summarize } from '../../src/shared/statistics.ts';
import { makeTrace } from './traceFixture.ts';

/** A small seeded generator (mulberry32), uniform in [0, 1). */
function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const clean = ['When', ' Mary', ' and', ' John', ' went', ',', ' John', ' gave', ' it', ' to'];
const corrupted = ['When', ' Mary', ' and', ' John', ' went', ',', ' Mary', ' gave', ' it', ' to'];

export interface GridFixture {
  readonly kind?: 'heads' | 'mlps' | 'neurons' | 'patch' | 'patch-heads' | 'heads-by-position';
  readonly site?: PatchSite;
  readonly direction?: 'denoising' | 'noising';
  readonly nLayers?: number;
  readonly nHeads?: number;
  readonly n?: number;
  readonly seed?: number;
  readonly method?: GridDocument['method'];
  /** Cells that are done; all when absent. */
  readonly done?: number;
  /** Changes each item's effect. */
  readonly change?: (effect: number, row: number, column: number, item: number) => number;
  readonly hash?: string;
}

function itemOf(i: number, pair: boolean): GridItem {
  const tokens = (texts: readonly string[]) => texts.map((text, id) => ({ id, text }));
  return {
    id: `p${i + 1}`,
    prompt: clean.join(''),
    corrupted: pair ? corrupted.join('') : null,
    tokens: tokens(clean),
    corruptedTokens: pair ? tokens(corrupted) : null,
    answer: ' Mary',
    foils: [' John'],
    tags: [i % 2 === 0 ? 'ABBA' : 'BABA'],
  };
}

function requestOf(kind: NonNullable<GridFixture['kind']>, options: GridFixture): GridRequest {
  const { n = 16, direction = 'denoising', site = 'resid_pre', method = 'exact' } = options;
  const pair = kind === 'patch' || kind === 'patch-heads' || kind === 'heads-by-position';
  const prompts = Array.from({ length: n }, () => ({
    clean: clean.join(''),
    ...(pair ? { corrupted: corrupted.join('') } : {}),
    answer: ' Mary',
    foils: [' John'],
  }));
  const base = { model: 'smollm2-135m', prompts, method };
  if (kind === 'patch') return { ...base, analysis: 'patch', site, byPosition: true, direction };
  if (kind === 'heads-by-position')
    return { ...base, analysis: 'patch', site: 'z', byPosition: true, heads: named, direction };
  if (kind === 'patch-heads') return { ...base, analysis: 'patch', site: 'z', direction };
  return { ...base, analysis: 'ablate', sites: kind, mode: 'mean', ...(kind === 'neurons' ? { layer: 3 } : {}) };
}

const named = [
  { layer: 9, head: 6 },
  { layer: 9, head: 9 },
  { layer: 10, head: 0 },
];

const range = (n: number, letter = ''): string[] => Array.from({ length: n }, (_, i) => `${letter}${i}`);

function axesOf(
  kind: NonNullable<GridFixture['kind']>,
  { nLayers = 30, nHeads = 9 }: GridFixture,
): GridDocument['axes'] {
  const rows = { name: 'layer', labels: range(nLayers, 'L') };
  if (kind === 'patch') return { rows, columns: { name: 'position', labels: range(clean.length) } };
  if (kind === 'heads-by-position') {
    const labels = named.map(({ layer, head }) => `L${layer}.H${head}`);
    return { rows: { name: 'head', labels }, columns: { name: 'position', labels: range(clean.length) } };
  }
  if (kind === 'mlps') return { rows, columns: { name: 'mlp', labels: ['MLP'] } };
  if (kind === 'neurons')
    return { rows: { name: 'layer', labels: ['L3'] }, columns: { name: 'neuron', labels: range(200) } };
  return { rows, columns: { name: 'head', labels: range(nHeads, 'H') } };
}

/** Cells in the order of the engine: from L0 up. */
export function makeCells(document: GridDocument, options: GridFixture = {}): GridCell[] {
  const { seed = 5, change = (e) => e, done = Number.POSITIVE_INFINITY, method = 'exact' } = options;
  const random = seeded(seed);
  const noise = (): number => random() + random() + random() - 1.5;
  const base =
    document.corrupted && (options.direction ?? 'denoising') === 'denoising' ? document.corrupted : document.clean;
  const cells = document.axes.rows.labels.flatMap((_, row) =>
    document.axes.columns.labels.map((__, column): GridCell => {
      const strong = random() < 0.08 ? noise() * 1.6 : noise() * 0.08;
      const byItem = base.byItem.map((value, item) => value + change(strong + noise() * 0.1, row, column, item));
      return { row, column, byItem, exact: method === 'exact' || (method === 'screened' && Math.abs(strong) > 0.4) };
    }),
  );
  return cells.slice(0, done);
}

/** A grid with no cell run. */
export function emptyGrid(options: GridFixture = {}): GridDocument {
  const { kind = 'heads', n = 16, seed = 5, method = 'exact', hash = '3f9a1c7' } = options;
  const random = seeded(seed + 1);
  const axes = axesOf(kind, options);
  const request = requestOf(kind, options);
  const pair = request.analysis === 'patch';
  const sample = (mean: number) => {
    const byItem = Array.from({ length: n }, () => mean + 2 * (random() + random() - 1));
    return { ...summarize(byItem, { seed: 0 }), byItem };
  };
  const [rows, columns] = [axes.rows.labels.length, axes.columns.labels.length];
  const full = <T>(value: T): T[][] => axes.rows.labels.map(() => axes.columns.labels.map(() => value));
  return {
    schemaVersion: 1,
    kind: 'grid',
    analysis: request.analysis,
    method,
    complete: false,
    warnings: [],
    provenance: { ...makeTrace().provenance, hash },
    intervention: pair
      ? 'clean activation into the corrupted run'
      : 'z of each head replaced by its mean over the prompts',
    request,
    metric: {
      spec: { kind: 'logit-difference', foil: 'mean' },
      label: 'Logit difference ␣Mary − ␣John',
      unit: 'logits',
    },
    axes,
    items: Array.from({ length: n }, (_, i) => itemOf(i, pair)),
    clean: sample(4),
    corrupted: pair ? sample(-2) : null,
    values: full<number | null>(null),
    byItem: { dims: [rows, columns, n], data: new Float32Array(rows * columns * n).fill(Number.NaN) },
    exact: full(false),
    cost: { forwardPasses: rows * columns * n, seconds: 12.5 },
  };
}

/** A grid with the shape of a real one: a few strong cells. For tests of figures only. */
export function makeGrid(options: GridFixture = {}): GridDocument {
  const document = emptyGrid(options);
  return withCells(document, makeCells(document, options));
}

/** A state as the host sends it when a document is there. */
export function gridState(document: GridDocument | null, change: Partial<GridPanelState> = {}): GridPanelState {
  return {
    title: 'ioi.prompt',
    status: document === null ? 'loading' : document.complete ? 'ready' : 'partial',
    progress: null,
    pace: null,
    error: null,
    document,
    stale: false,
    canResume: document !== null && !document.complete,
    canRunAgain: true,
    saved: null,
    compared: null,
    head: null,
    marked: [],
    ...change,
  };
}
