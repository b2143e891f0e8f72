import type { Picture, TablePicture } from '../../../shared/figures.ts';
import { count, percent, signed } from '../../../shared/format.ts';
import type { TreeLine, TreePicture } from '../../../shared/treePicture.ts';
import type { StepContext, StepResult } from '../../experiments/stepKind.ts';
import { estimateOf, meanOf } from '../../experiments/steps/estimate.ts';
import { signWarnings } from '../pairRows.ts';
import type { PlacedNode } from '../pathPatcher.ts';
import type { Places } from '../pathPlaces.ts';
import type { ExtensionSum, FoundPath } from '../pathSearch.ts';
import { type FindPathsParams, type FoundPaths, placedName, placedPath, rowsAndPlaces } from './findPathsParams.ts';

/** Numbers of one thing in each row. */
type Rows = readonly number[];

const mean = (rows: Rows) => meanOf(rows) ?? 0;
const minus = (a: Rows, b: Rows): Rows => a.map((value, i) => value - b[i]);
const sum = (all: readonly Rows[], like: Rows): Rows =>
  like.map((_, i) => all.reduce((total, rows) => total + rows[i], 0));

/** Null where there is nothing to have a share of. */
const shareOf = (value: number, total: number): number | null => (total === 0 ? null : value / total);

/** Paths of all lengths as a tree, with what the paths under one do not account for. */
class PathTree {
  readonly lines: TreeLine[] = [];
  /** By the key of the path that was lengthened: what all its extensions are in sum, and those that were kept. */
  private readonly extensions = new Map<string, ExtensionSum>();
  private readonly children = new Map<string, FoundPath[]>();

  constructor(
    private readonly found: FoundPaths,
    private readonly places: Places,
    private readonly seed: number,
    /** What is left of the whole difference. */
    private readonly words: { readonly rest: string },
  ) {
    for (const { from, kept } of found.lengths) {
      for (const own of from) this.extensions.set(this.key(own.nodes), own);
      for (const path of kept) {
        const parent = this.key(path.nodes.slice(0, -1));
        this.children.set(parent, [...(this.children.get(parent) ?? []), path]);
      }
    }
  }

  private key(nodes: readonly PlacedNode[]): string {
    return placedPath(nodes, this.places);
  }

  private add(depth: number, label: string, id: string, rows: Rows, kind: TreeLine['kind']): void {
    const estimate = estimateOf(rows, this.seed);
    if (estimate === null) return;
    this.lines.push({ id, depth, label, value: estimate.mean, interval: estimate.interval, kind });
  }

  /** What is not on any of the paths that were tried, by what it is; only at the root it is known. */
  private known(): readonly (readonly [label: string, rows: Rows])[] {
    const { otherTokens, patterns } = this.found;
    return [
      ['attention that changes', patterns],
      ...(otherTokens.some((value) => Math.abs(value) > 1e-6) ? [['from other tokens', otherTokens] as const] : []),
    ];
  }

  /** Lines under a path whose own contribution is `rows`. */
  grow(nodes: readonly PlacedNode[], rows: Rows): void {
    const key = this.key(nodes);
    const children = this.children.get(key);
    const tried = this.extensions.get(key);
    if (tried === undefined || children === undefined) return;
    const depth = nodes.length + 1;
    for (const child of children) {
      const label = placedName(child.nodes[child.nodes.length - 1], this.places);
      this.add(depth, label, this.key(child.nodes), child.rows, 'node');
      this.grow(child.nodes, child.rows);
    }
    const kept = sum(
      children.map((child) => child.rows),
      rows,
    );
    const weaker = tried.tried - children.length;
    if (weaker > 0) this.add(depth, `${count(weaker)} weaker paths`, `${key}|weaker`, minus(tried.rows, kept), 'rest');
    const known = nodes.length === 0 ? this.known() : [];
    for (const [label, own] of known) this.add(depth, label, `${key}|${label}`, own, 'rest');
    const accounted = sum([tried.rows, ...known.map(([, own]) => own)], rows);
    this.add(
      depth,
      nodes.length === 0 ? this.words.rest : 'not explained',
      `${key}|rest`,
      minus(rows, accounted),
      'rest',
    );
  }

  root(label: string, rows: Rows): readonly TreeLine[] {
    this.add(0, label, '', rows, 'node');
    this.grow([], rows);
    return this.lines;
  }
}

/** Every path, by length and strength, with the running sum of those of its length. */
function pathsTable({ lengths }: FoundPaths, places: Places, total: number, seed: number): TablePicture {
  const rows = lengths.flatMap(({ kept }, index) => {
    let running = 0;
    return kept.map(({ nodes, rows: own }) => {
      const estimate = estimateOf(own, seed);
      running += estimate?.mean ?? 0;
      const [low, high] = estimate?.interval ?? [null, null];
      return [
        placedPath(nodes, places),
        index + 1,
        estimate?.mean ?? null,
        low,
        high,
        running,
        shareOf(running, total),
      ];
    });
  });
  const logits = (name: string) => ({ name, unit: 'logits' });
  return {
    ...{ type: 'table', id: 'paths', title: 'Paths by length', rows },
    subtitle: 'running: sum of the paths of its length so far; share: of the clean − corrupted difference',
    columns: [
      ...[{ name: 'path' }, { name: 'length' }, logits('contribution'), logits('low'), logits('high')],
      ...[logits('running'), { name: 'running', unit: 'share' }],
    ],
  };
}

/** What each length accounts for. */
function lengthsTable({ lengths }: FoundPaths, total: number): TablePicture {
  const rows = lengths.map(({ kept, from }, index) => {
    const own = kept.reduce((running, path) => running + mean(path.rows), 0);
    const tried = from.reduce((all, part) => all + part.tried, 0);
    return [index + 1, tried, kept.length, own, total - own, shareOf(own, total)];
  });
  const logits = (name: string) => ({ name, unit: 'logits' });
  return {
    ...{ type: 'table', id: 'lengths', title: 'What paths of each length account for', rows },
    subtitle: 'of the clean − corrupted difference; paths of one length do not overlap',
    columns: [
      ...[{ name: 'length' }, { name: 'tried' }, { name: 'kept' }, logits('sum'), logits('rest')],
      { name: 'sum', unit: 'share' },
    ],
  };
}

function valuesOf(found: FoundPaths, places: Places, total: number): Record<string, number> {
  const values: Record<string, number> = {
    clean: mean(found.clean),
    corrupted: mean(found.corrupted),
    total,
    patterns: mean(found.patterns),
    'other-tokens': mean(found.otherTokens),
  };
  found.lengths.forEach(({ kept, from }, index) => {
    const own = kept.reduce((running, { rows }) => running + mean(rows), 0);
    values[`sum.${index + 1}`] = own;
    values[`rest.${index + 1}`] = total - own;
    values[`tried.${index + 1}`] = from.reduce((all, { tried }) => all + tried, 0);
    for (const { nodes, rows } of kept) {
      const name = placedPath(nodes, places).replaceAll(' ', '');
      values[`path.${name}`] = mean(rows);
      const share = shareOf(mean(rows), total);
      if (share !== null) values[`share.${name}`] = share;
    }
  });
  return values;
}

/** Puts what the search has found together; null: nothing yet. */
export function findPathsFigures(context: StepContext, params: FindPathsParams, found: FoundPaths | null): StepResult {
  const { label } = context.observable(params.observable);
  const { rows, places } = rowsAndPlaces(context, params);
  const { finalNorm = 'real' } = params;
  const title = `Paths that carry ${label}`;
  const ablation = 'inputs of the corrupted prompt, along single paths';
  const empty = { title, subtitle: '', pictures: [], values: {}, warnings: [], ablation };
  if (found === null || found.lengths.length === 0) return empty;
  const differences = minus(found.clean, found.corrupted);
  const total = mean(differences);
  const tree = new PathTree(found, places, context.seed, {
    rest: finalNorm === 'frozen' ? 'scale of the final norm' : 'not explained',
  });
  const lines = tree.root('clean − corrupted', differences);
  const [first] = found.lengths[0].kept;
  const most = shareOf(mean(first.rows), total);
  const strongest = placedPath(first.nodes, places);
  const picture: TreePicture = {
    ...{ type: 'tree', id: 'tree', lines, unit: 'logits', n: rows.length },
    title:
      most === null
        ? `${label}: ${strongest} carries most, of no difference in all`
        : `${label}: ${strongest} carries ${percent(most)} of the difference`,
    subtitle: `contribution of the path down to each line: fall of the observable when its earliest node reads the corrupted prompt; mean, final norm ${finalNorm}; n = ${rows.length}`,
  };
  const pictures: Picture[] = [picture, pathsTable(found, places, total, context.seed), lengthsTable(found, total)];
  const sides = `clean ${signed(mean(found.clean))}, corrupted ${signed(mean(found.corrupted))} logits`;
  return {
    ...{ title, pictures, values: valuesOf(found, places, total), ablation },
    subtitle: `${sides}, difference ${signed(total)}; places ${places.labels.join(', ')}; n = ${rows.length}`,
    warnings: signWarnings(found.clean, found.corrupted),
  };
}
