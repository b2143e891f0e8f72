import { percent, share, visibleToken } from '../../shared/format.ts';
import { scaleMax } from '../../shared/scale.ts';
import type { LensTable, TraceDocument } from '../../shared/traceDocument.ts';
import type { ComponentRef } from '../../shared/tracePanelProtocol.ts';
import type { MatrixCell, MatrixColumn, MatrixModel, MatrixRow } from '../figures/matrixModel.ts';
import { spokenToken } from '../figures/text.ts';
import type { TraceLayout } from './traceLayout.ts';

/** Gap in px between L0 and the embedding row. */
const belowGap = 5;

export const componentId = ({ layer, kind, head }: ComponentRef): string => `${layer}.${kind === 'mlp' ? 'mlp' : head}`;
export const rowId = (layer: number): string => `L${layer}`;
export const lensCellId = (row: string, position: number): string => `${row}@${position}`;

/** Inverse of `componentId`; null for embedding, biases and totals. */
export function componentOf(id: string): ComponentRef | null {
  const match = /^(\d+)\.(\d+|mlp)$/.exec(id);
  if (match === null) return null;
  const layer = Number(match[1]);
  return match[2] === 'mlp' ? { layer, kind: 'mlp' } : { layer, kind: 'head', head: Number(match[2]) };
}

/** Position of a lens cell's column. */
export function lensPositionOf(id: string): number {
  return Number(id.slice(id.indexOf('@') + 1));
}

/** Number of heads a layer has, also while layers are still to come. */
export function headsPerLayer({ direct }: TraceDocument): number {
  return Math.max(1, ...direct.heads.map((row) => row.length));
}

function layerLabel(layer: number, nLayers: number, every: number): string {
  if (layer === nLayers - 1) return `L${layer}`;
  // The label under the top one would touch it.
  return layer % every === 0 && (every === 1 || nLayers - 1 - layer > 1) ? `L${layer}` : '';
}

/** Every head and MLP: what the scale of the component figure is made for. */
export function componentValues({ direct }: TraceDocument): number[] {
  return [...direct.heads.flat(), ...direct.mlps];
}

function layerRow(document: TraceDocument, layer: number, layout: TraceLayout): MatrixRow {
  const { heads, mlps } = document.direct;
  const nHeads = headsPerLayer(document);
  const row = heads[layer] ?? [];
  const cell = (component: ComponentRef, value: number | undefined, name: string, spoken: string): MatrixCell => ({
    id: componentId(component),
    value: value ?? null,
    name,
    spoken,
  });
  const headCells = Array.from({ length: nHeads }, (_, head) =>
    cell({ layer, kind: 'head', head }, row[head], `L${layer}.H${head}`, `layer ${layer} head ${head}`),
  );
  const mlp = cell({ layer, kind: 'mlp' }, mlps[layer], `MLP ${layer}`, `layer ${layer} MLP`);
  const known = row.length > 0 && mlps[layer] !== undefined;
  const total: MatrixCell = {
    id: `total.${layer}`,
    value: known ? row.reduce((sum, v) => sum + v, 0) + mlps[layer] : null,
    name: `L${layer} total`,
    spoken: `layer ${layer} total`,
    note: 'heads + MLP',
  };
  return {
    id: rowId(layer),
    label: layerLabel(layer, heads.length, layout.labelEvery),
    gap: 0,
    cells: [...headCells, mlp, total],
  };
}

interface Part {
  readonly id: string;
  readonly label: string;
  readonly name: string;
  readonly value: number;
}

/** What is under L0: the embedding, and positions and biases where the model has them. */
export function partsBelow({ direct }: TraceDocument): Part[] {
  const all = [
    { id: 'emb', label: 'emb', name: 'embedding', value: direct.embedding },
    { id: 'pos', label: 'pos', name: 'position embedding', value: direct.positionEmbedding },
    { id: 'bias', label: 'bias', name: 'biases', value: direct.bias },
  ];
  return all.filter(({ id, value }) => id === 'emb' || value !== 0);
}

/** Layer × head, MLP, layer total; embedding, positions and biases under L0. Rows from the last layer down. */
export function componentsModel(document: TraceDocument, layout: TraceLayout): MatrixModel {
  const nHeads = headsPerLayer(document);
  const headEvery = layout.headWidth < 18 ? 4 : 1;
  const columns: MatrixColumn[] = Array.from({ length: nHeads }, (_, head) => ({
    label: head % headEvery === 0 ? `H${head}` : '',
    kind: 'cell',
    width: layout.headWidth,
    gap: 0,
  }));
  columns.push({ label: 'MLP', kind: 'cell', width: layout.mlpWidth, gap: 8 });
  columns.push({ label: 'layer total', kind: 'bar', width: layout.totalWidth, gap: layout.totalGap });
  const layers = document.direct.heads.map((_, layer) => layerRow(document, layer, layout)).reverse();
  const below = partsBelow(document).map(({ id, label, name, value }, i): MatrixRow => {
    const cell: MatrixCell = { id, value, name, spoken: name, label: name, span: nHeads };
    const total: MatrixCell = { id: `total.${id}`, value, name, spoken: `${name} total` };
    return { id, label, gap: i === 0 ? belowGap : 1, cells: [cell, ...Array(nHeads).fill(undefined), total] };
  });
  return {
    id: 'components',
    title: 'Logits added, by component',
    unit: 'logits',
    scale: 'diverging',
    max: scaleMax(componentValues(document)),
    columns,
    rows: [...layers, ...below],
    rowHeight: layout.rowHeight,
    headHeight: 20,
    labelWidth: layout.labelWidth,
  };
}

/** Layer × position of the logit lens for the positions `start` to `end`; hatched while `lens` is null. */
export function lensModel(
  document: TraceDocument,
  lens: LensTable | null,
  layout: TraceLayout,
  shown: { readonly start: number; readonly end: number },
): MatrixModel {
  const positions = Array.from({ length: shown.end - shown.start }, (_, i) => shown.start + i);
  const nLayers = document.direct.heads.length;
  const columnOf = new Map(lens?.positions.map((position, column) => [position, column]));
  const row = (name: string, index: number, gap: number, label: string): MatrixRow => ({
    id: name,
    label: layout.beside ? '' : label,
    gap,
    cells: positions.map((position): MatrixCell => {
      const column = columnOf.get(position);
      const value = column === undefined ? undefined : lens?.values[index]?.[column];
      const top = column === undefined ? undefined : lens?.top[index]?.[column];
      const token = visibleToken(document.tokens[position].text);
      return {
        id: lensCellId(name, position),
        value: value ?? null,
        name: `${name === 'emb' ? 'emb' : `after ${name}`} at ${token}`,
        spoken: `${name === 'emb' ? 'embedding' : `layer ${name.slice(1)}`}, position ${position + 1} ${spokenToken(document.tokens[position].text)}`,
        ...(top ? { token: top.text, note: `top ${visibleToken(top.text)} ${share(top.p)}` } : {}),
      };
    }),
  });
  const layers = Array.from({ length: nLayers }, (_, layer) =>
    row(rowId(layer), layer + 1, 0, layerLabel(layer, nLayers, layout.labelEvery)),
  ).reverse();
  return {
    id: 'lens',
    title: 'Logit lens',
    unit: 'logits',
    scale: 'diverging',
    max: scaleMax(lens?.values.flat() ?? []),
    columns: positions.map((position) => ({
      label: document.tokens[position].text,
      isToken: true,
      kind: 'cell',
      width: layout.lensWidth,
      gap: 0,
    })),
    rows: [...layers, row('emb', 0, belowGap, 'emb')],
    rowHeight: layout.rowHeight,
    headHeight: 20,
    labelWidth: layout.beside ? 0 : layout.labelWidth,
  };
}

/** `58 % of +1.60` is said of what a component adds; empty when the observable is (nearly) 0. */
export function shareOfTotal(document: TraceDocument, value: number): string {
  const { value: total } = document.observable;
  return Math.abs(total) < 1e-3 || !Number.isFinite(value) ? '' : percent(value / total);
}
