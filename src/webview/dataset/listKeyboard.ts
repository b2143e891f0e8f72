import type { DatasetRowView } from '../../shared/datasetView.ts';

/** A row of the list, and one of its tokens; −1: the row's head. */
export interface Selection {
  readonly row: number;
  readonly token: number;
}

const PAGE = 10;

/** The nearest refused row in one direction, of those that are known. */
function nextRefused(row: number, step: 1 | -1, known: ReadonlyMap<number, DatasetRowView>): number | null {
  for (let at = row + step; known.has(at); at += step) if (known.get(at)?.refused) return at;
  return null;
}

/** Where a key leads; null when it leads nowhere. `known`: the rows that are loaded, by their place in the list. */
export function nextSelection(
  event: Pick<KeyboardEvent, 'key' | 'ctrlKey' | 'metaKey' | 'altKey'>,
  { row, token }: Selection,
  total: number,
  known: ReadonlyMap<number, DatasetRowView>,
): Selection | null {
  const jump = event.ctrlKey || event.metaKey;
  if (event.altKey) return null;
  const lastToken = (known.get(row)?.tokens.length ?? 0) - 1;
  const toRow = (to: number): Selection => ({ row: Math.max(0, Math.min(total - 1, to)), token });
  const toToken = (to: number): Selection => ({ row, token: Math.max(-1, Math.min(lastToken, to)) });
  switch (event.key) {
    case 'ArrowDown':
      return toRow(row + 1);
    case 'ArrowUp':
      return toRow(row - 1);
    case 'ArrowRight':
      return toToken(token + 1);
    case 'ArrowLeft':
      return toToken(token - 1);
    case 'PageDown':
      return toRow(row + PAGE);
    case 'PageUp':
      return toRow(row - PAGE);
    case 'Home':
      return jump ? toRow(0) : toToken(-1);
    case 'End':
      return jump ? toRow(total - 1) : toToken(lastToken);
    case 'n':
    case 'p': {
      const found = jump ? null : nextRefused(row, event.key === 'n' ? 1 : -1, known);
      return found === null ? null : { row: found, token: -1 };
    }
    default:
      return null;
  }
}
