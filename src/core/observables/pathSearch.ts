import type { ModelConfig } from '../models/modelConfig.ts';
import type { PlacedNode } from './pathPatcher.ts';

/** A path with its contribution in each row, in logits. */
export interface FoundPath {
  /** Nearest the logits first. */
  readonly nodes: readonly PlacedNode[];
  readonly rows: readonly number[];
}

/** What all paths that lengthen one path by a node contribute together. */
export interface ExtensionSum {
  readonly nodes: readonly PlacedNode[];
  /** Paths that were tried. */
  readonly tried: number;
  /** Their sum in each row, in logits. */
  readonly rows: readonly number[];
}

/** Paths of one length. */
export interface SearchLength {
  /** Those that are kept, largest mean contribution first, whatever its sign. */
  readonly kept: readonly FoundPath[];
  /** For each path of the length before that can be lengthened. */
  readonly from: readonly ExtensionSum[];
}

/** Places whose tokens a node at a place can read. */
export type Readable = (from: number, to: number) => boolean;

/**
 * Every node that writes to what a path's last node reads: all heads at all places that it may read, all MLPs and the embedding;
 * under an MLP also the heads of its own layer, but where both read the same stream. Nodes before the embedding: none.
 */
export function extensionsOf(
  { nLayers, nHeads, parallelResidual }: Pick<ModelConfig, 'nLayers' | 'nHeads' | 'parallelResidual'>,
  path: readonly PlacedNode[],
  { end, places, readable }: { readonly end: number; readonly places: number; readonly readable: Readable },
): readonly PlacedNode[] {
  const last = path.at(-1);
  if (last?.kind === 'embedding') return [];
  const at = last?.place ?? end;
  const below = last?.layer ?? nLayers;
  const headsBelow = last?.kind === 'mlp' && !parallelResidual ? below + 1 : below;
  const sources = Array.from({ length: places }, (_, place) => place).filter((place) => readable(place, at));
  const nodes: PlacedNode[] = [];
  for (let layer = 0; layer < headsBelow; layer += 1) {
    for (let head = 0; head < nHeads; head += 1) {
      for (const place of sources) nodes.push({ kind: 'head', layer, head, place });
    }
    if (layer < below) nodes.push({ kind: 'mlp', layer, place: at });
  }
  nodes.push({ kind: 'embedding', place: at });
  return nodes;
}

const meanOf = (rows: readonly number[]) => rows.reduce((sum, value) => sum + value, 0) / rows.length;

/** The paths with the largest mean contributions by size; of equal ones the earlier. */
function strongest(paths: readonly FoundPath[], count: number): readonly FoundPath[] {
  const sized = paths.map((path) => ({ path, size: Math.abs(meanOf(path.rows)) }));
  return sized
    .sort((a, b) => b.size - a.size)
    .slice(0, count)
    .map(({ path }) => path);
}

/**
 * One length more of a beam search: lengthens each kept path by every node that writes to it and keeps the strongest of all.
 * Differs from the authors' search, which leaves out adjacent layers and negative contributions (§3.2 of our notes).
 * @param before paths of the length before; `[]` nodes for the first
 * @param evaluate contributions `[node][row]` of the path lengthened by each node
 */
export async function lengthen(
  before: readonly (readonly PlacedNode[])[],
  beam: number,
  extensions: (path: readonly PlacedNode[]) => readonly PlacedNode[],
  evaluate: (path: readonly PlacedNode[], nodes: readonly PlacedNode[]) => Promise<readonly (readonly number[])[]>,
): Promise<SearchLength> {
  const from: ExtensionSum[] = [];
  let kept: readonly FoundPath[] = [];
  for (const path of before) {
    const nodes = extensions(path);
    if (nodes.length === 0) continue;
    const values = await evaluate(path, nodes);
    from.push({
      nodes: path,
      tried: nodes.length,
      rows: values[0].map((_, row) => values.reduce((sum, own) => sum + own[row], 0)),
    });
    kept = strongest([...kept, ...nodes.map((node, i) => ({ nodes: [...path, node], rows: values[i] }))], beam);
  }
  return { kept, from };
}
