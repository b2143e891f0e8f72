import { useEffect, useRef, useState } from 'preact/hooks';
import { boxOf, type CellAt, cellAt, type Geometry, type MatrixModel, nearestCell } from './matrixModel.ts';

/** The hovered cell at once, and after 80 ms where a box should stand (px in the figure). */
export interface Hover {
  readonly at: CellAt | null;
  readonly boxed: { readonly at: CellAt; readonly left: number; readonly top: number } | null;
  readonly find: (event: MouseEvent) => CellAt | null;
  readonly onMove: (event: MouseEvent) => void;
  readonly clear: () => void;
}

const delay = 80;

/** Follows the pointer over a matrix: the cell under it or the nearest one. */
export function useHover(model: MatrixModel, geometry: Geometry): Hover {
  const [at, setAt] = useState<CellAt | null>(null);
  const [boxed, setBoxed] = useState<Hover['boxed']>(null);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);

  const drawing = (event: MouseEvent): Element | null =>
    (event.currentTarget as Element | null)?.querySelector('svg.m-matrix') ?? null;
  const find = (event: MouseEvent): CellAt | null => {
    const rect = drawing(event)?.getBoundingClientRect();
    return rect ? nearestCell(model, geometry, event.clientX - rect.left, event.clientY - rect.top) : null;
  };
  const clear = (): void => {
    clearTimeout(timer.current);
    setAt(null);
    setBoxed(null);
  };
  const onMove = (event: MouseEvent): void => {
    const found = find(event);
    if (found?.row === at?.row && found?.col === at?.col) return;
    clear();
    setAt(found);
    if (found === null || cellAt(model, found) === undefined) return;
    const svg = drawing(event);
    const figure = svg?.closest('figure');
    timer.current = setTimeout(() => {
      if (!svg || !figure) return;
      const from = figure.getBoundingClientRect();
      const to = svg.getBoundingClientRect();
      const box = boxOf(model, geometry, found);
      setBoxed({ at: found, left: to.left - from.left + box.x, top: to.top - from.top + box.y });
    }, delay);
  };
  // A new model may have other cells under the same place.
  return {
    at: at && cellAt(model, at) ? at : null,
    boxed: boxed && cellAt(model, boxed.at) ? boxed : null,
    find,
    onMove,
    clear,
  };
}
