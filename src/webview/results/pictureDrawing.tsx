import type { Picture, SimplePicture } from '../../shared/figures.ts';
import { type BarColors, barsDrawing } from '../charts/bars.tsx';
import type { ChartDrawing } from '../charts/chartMark.ts';
import { curveDrawing } from '../charts/curve.tsx';
import { histogramDrawing } from '../charts/histogram.tsx';
import { scatterDrawing } from '../charts/scatter.tsx';
import { graphDrawing, isWideGraph } from '../circuit/graphDrawing.tsx';
import { LONG_TEXT } from '../figures/DataTable.tsx';
import type { Theme } from '../figures/theme.ts';

/** Pictures that are charts. */
export type ChartPicture = Exclude<SimplePicture, { readonly type: 'matrix' | 'table' | 'tree' }>;

/** What a chart's marks are called. */
export const markNouns: Readonly<Record<ChartPicture['type'], string>> = {
  bars: 'bars',
  curve: 'points',
  scatter: 'points',
  histogram: 'bins and lines',
  graph: 'boxes',
};

/** A chart at a width. */
export function chartDrawing(theme: Theme, picture: ChartPicture, width: number, colors?: BarColors): ChartDrawing {
  switch (picture.type) {
    case 'bars':
      return barsDrawing(theme, picture, width, colors);
    case 'curve':
      return curveDrawing(theme, picture, width);
    case 'scatter':
      return scatterDrawing(theme, picture, width);
    case 'histogram':
      return histogramDrawing(theme, picture, width);
    case 'graph':
      return graphDrawing(theme, picture, width);
  }
}

/** True when there is nothing in a picture to draw. */
export function isEmpty(picture: SimplePicture): boolean {
  switch (picture.type) {
    case 'matrix':
      return picture.rows.labels.length === 0 || picture.columns.labels.length === 0;
    case 'bars':
      return picture.groups.every(({ bars }) => bars.length === 0);
    case 'curve':
      return picture.series.every(({ points }) => points.every((point) => point === null));
    case 'scatter':
      return picture.points.length === 0;
    case 'histogram':
      return picture.values.length === 0 && picture.markers.length === 0;
    case 'table':
      return picture.rows.length === 0;
    case 'tree':
      return picture.lines.length === 0;
    case 'graph':
      return picture.nodes.length === 0;
  }
}

/** True for pictures that want the whole width of a page of two columns. */
export function isWide(picture: Picture): boolean {
  if (picture.type === 'coupling') return true;
  if (picture.type === 'matrix') return picture.columns.labels.length > 24;
  if (picture.type === 'curve') return picture.x.labels.length > 24;
  if (picture.type === 'tree') return true;
  if (picture.type === 'graph') return isWideGraph(picture);
  const long = (value: unknown) => typeof value === 'string' && value.length > LONG_TEXT;
  return picture.type === 'table' && (picture.columns.length > 5 || picture.rows.some((row) => row.some(long)));
}

/** Columns of a page of pictures, and the width of a picture in it. */
export interface PageLayout {
  readonly columns: 1 | 2;
  readonly widthOf: (picture: Picture) => number;
}

/** Px between two columns of pictures. */
export const columnGap = 36;

/** Two columns where each has at least 440 px. `inner`: width without the panel's padding. */
export function layoutPage(inner: number): PageLayout {
  const half = Math.floor((inner - columnGap) / 2);
  const columns = half >= 440 ? 2 : 1;
  // A chart of a few marks gains nothing beyond this.
  const most = 720;
  return {
    columns,
    widthOf: (picture) =>
      Math.max(280, Math.min(columns === 1 || isWide(picture) ? inner : half, isWide(picture) ? inner : most)),
  };
}
