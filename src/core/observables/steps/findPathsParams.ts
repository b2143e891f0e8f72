import type { ObservableSpec } from '../../../shared/engineProtocol.ts';
import type { StepContext } from '../../experiments/stepKind.ts';
import { type PairRow, pairRows } from '../pairRows.ts';
import type { FinalNormMode, PlacedNode } from '../pathPatcher.ts';
import { type Places, placesOf } from '../pathPlaces.ts';
import type { SearchLength } from '../pathSearch.ts';

export interface FindPathsParams {
  readonly observable: string | ObservableSpec;
  readonly corruption?: string;
  readonly rows?: number;
  readonly row?: string | number;
  readonly at?: readonly string[];
  readonly length?: number;
  readonly beam?: number;
  readonly finalNorm?: FinalNormMode;
}

/** What the search has found so far; `[row]`, in logits. */
export interface FoundPaths {
  readonly lengths: readonly SearchLength[];
  readonly clean: readonly number[];
  readonly corrupted: readonly number[];
  /** What heads carry from tokens that are no place, patterns held. */
  readonly otherTokens: readonly number[];
  /** What the change of patterns carries. */
  readonly patterns: readonly number[];
  readonly forwardPasses: number;
}

export const DEFAULT_LENGTH = 4;
export const DEFAULT_BEAM = 10;
export const DEFAULT_ROWS = 16;

/** The rows that are searched on, and the tokens between which paths go. @throws MechanistError `bad-input` */
export function rowsAndPlaces(
  { task }: Pick<StepContext, 'task'>,
  params: FindPathsParams,
): { readonly rows: readonly PairRow[]; readonly places: Places } {
  const rows = pairRows(task, { rows: DEFAULT_ROWS, ...params });
  return { rows, places: placesOf(task, rows, params.at) };
}

/** `L21.H4@name`, `MLP 12@name`, `emb@name` */
export function placedName(node: PlacedNode, { labels }: Places): string {
  const at = `@${labels[node.place]}`;
  if (node.kind === 'embedding') return `emb${at}`;
  return node.kind === 'head' ? `L${node.layer}.H${node.head}${at}` : `MLP ${node.layer}${at}`;
}

/** `L21.H4@name <= MLP 12@name`, as paths are written. */
export function placedPath(nodes: readonly PlacedNode[], places: Places): string {
  return nodes.map((node) => placedName(node, places)).join(' <= ');
}
