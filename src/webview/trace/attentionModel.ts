import { visibleToken } from '../../shared/format.ts';
import type { PackedArray } from '../../shared/packedArray.ts';
import type { MatrixModel } from '../figures/matrixModel.ts';
import { spokenToken } from '../figures/text.ts';

export const attentionId = (query: number, key: number): string => `${query}→${key}`;

/** Key position of an attention cell. */
export function attentionKeyOf(id: string): number {
  return Number(id.slice(id.indexOf('→') + 1));
}

/** A tokenized prompt and the position that it is read at. */
export interface ReadPrompt {
  readonly tokens: readonly { readonly text: string }[];
  readonly position: number;
}

/** Px of one attention cell. */
function attentionCell(n: number, contrast: boolean): number {
  return Math.min(contrast && n <= 24 ? 28 : 18, Math.max(6, Math.floor(260 / Math.max(1, n))));
}

/** Query × key, queries downward, nothing above the diagonal; hatched while `pattern` is null. */
export function attentionModel(
  document: ReadPrompt,
  pattern: PackedArray | null,
  name: string,
  contrast = false,
): MatrixModel {
  const { tokens } = document;
  const n = tokens.length;
  const cell = attentionCell(n, contrast);
  const text = (position: number): string => visibleToken(tokens[position].text);
  return {
    id: 'attention',
    title: `${name} attention pattern`,
    unit: 'of attention',
    scale: 'sequential',
    max: 1,
    columns: tokens.map(() => ({ label: '', kind: 'cell', width: cell, gap: 0 })),
    rows: tokens.map((token, query) => ({
      id: `q${query}`,
      label: cell >= 11 || query === document.position ? token.text : '',
      isToken: true,
      gap: 0,
      cells: tokens.map((_, key) =>
        key > query
          ? undefined
          : {
              id: attentionId(query, key),
              value: pattern === null ? null : pattern.data[query * n + key],
              name: `${text(query)} reads ${text(key)}`,
              spoken: `query ${query + 1} ${spokenToken(tokens[query].text)}, key ${key + 1} ${spokenToken(tokens[key].text)}`,
            },
      ),
    })),
    rowHeight: cell,
    headHeight: 4,
    labelWidth: 66,
  };
}
