import { visibleToken } from '../../shared/format.ts';
import type { GridDocument } from '../../shared/gridDocument.ts';
import type { GridPlace } from '../../shared/gridPanelProtocol.ts';
import { spokenToken } from '../figures/text.ts';

export const placeId = ({ row, column }: GridPlace): string => `${row}.${column}`;

/** Inverse of `placeId`; null for anything else. */
export function placeOf(id: string): GridPlace | null {
  const match = /^(\d+)\.(\d+)$/.exec(id);
  return match === null ? null : { row: Number(match[1]), column: Number(match[2]) };
}

/** What the columns are; `none`: there is one, and the row says it all. */
export type ColumnKind = 'head' | 'position' | 'neuron' | 'none' | 'other';

export function columnKind({ axes }: GridDocument): ColumnKind {
  const { name, labels } = axes.columns;
  // Key-value heads are heads, too: fewer than the query heads where these share them.
  if (name.endsWith('head')) return 'head';
  if (name === 'neuron' || (name === 'position' && labels[0] !== 'all positions')) return name;
  return labels.length <= 1 ? 'none' : 'other';
}

/** True when a row is one head and its cells are positions. */
export function rowsAreHeads({ axes }: GridDocument): boolean {
  return axes.rows.name.endsWith('head');
}

/** Axis labels may be bare numbers; in a figure they are `L3`, `H5`. */
function withLetter(label: string, letter: string): string {
  return /^\d+$/.test(label) ? `${letter}${label}` : label;
}

export function rowLabel({ axes }: GridDocument, row: number): string {
  const label = axes.rows.labels[row] ?? '';
  return axes.rows.name === 'layer' ? withLetter(label, 'L') : label;
}

export function columnLabel(document: GridDocument, column: number): string {
  const label = document.axes.columns.labels[column] ?? '';
  const kind = columnKind(document);
  if (kind === 'head') return withLetter(label, 'H');
  if (kind === 'neuron') return withLetter(label, 'N');
  return kind === 'none' ? '' : label;
}

/** What is changed at a cell: `MLP`, `attn`, `resid_pre`, `z`. */
export function siteWord({ request }: GridDocument): string {
  if (request.analysis === 'patch') {
    return request.site === 'mlp_out' ? 'MLP' : request.site === 'attn_out' ? 'attn' : request.site;
  }
  if (request.analysis === 'path-patch') return 'path from';
  return request.sites === 'mlps' ? 'MLP' : '';
}

/** The token at a position of one item, as it is written; empty where the item is shorter. */
export function itemToken(document: GridDocument, item: number, position: number): string {
  return document.items[item]?.tokens[position]?.text ?? '';
}

const number = (label: string): string => label.replace(/^\D+(?=\d)/, '');

/** `L17.H5`, `MLP 17`, `L5 at ␣Mary`, `L3.N57`: what a cell is called. */
export function placeName(document: GridDocument, { row, column }: GridPlace, item = 0): string {
  const layer = rowLabel(document, row);
  const kind = columnKind(document);
  if (kind === 'head' || kind === 'neuron') return `${layer}.${columnLabel(document, column)}`;
  if (kind === 'position') {
    const token = itemToken(document, item, column);
    return `${layer} at ${token === '' ? `position ${column + 1}` : visibleToken(token)}`;
  }
  if (kind === 'other') return `${layer} ${columnLabel(document, column)}`;
  const site = siteWord(document);
  return site === 'MLP' ? `MLP ${number(layer)}` : `${layer} ${site}`.trim();
}

/** The same for a screen reader: `layer 17 head 5`. */
export function spokenPlace(document: GridDocument, { row, column }: GridPlace, item = 0): string {
  const { axes } = document;
  const label = rowLabel(document, row);
  const head = rowsAreHeads(document) ? /^L(\d+)\.H(\d+)$/.exec(label) : null;
  const layer = head ? `layer ${head[1]} ${axes.rows.name} ${head[2]}` : `${axes.rows.name} ${number(label)}`;
  const kind = columnKind(document);
  if (kind === 'none') return `${layer} ${siteWord(document)}`.trim();
  if (kind === 'position')
    return `${layer} position ${column + 1} ${spokenToken(itemToken(document, item, column))}`.trim();
  return `${layer} ${axes.columns.name} ${number(columnLabel(document, column))}`;
}

/** `heads`, `MLPs`, `cells`: what is counted. */
export function cellNoun(document: GridDocument, n: number): string {
  const kind = columnKind(document);
  const one =
    kind === 'head'
      ? document.axes.columns.name
      : kind === 'neuron'
        ? 'neuron'
        : siteWord(document) === 'MLP'
          ? 'MLP'
          : 'cell';
  return n === 1 ? one : `${one}s`;
}
