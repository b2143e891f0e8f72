/** One mark of a matrix. Text is ready to be shown; numbers are formatted by the figure. */
export interface MatrixCell {
  readonly id: string;
  /** Null: not run yet. NaN and infinities are drawn as such. */
  readonly value: number | null;
  /** Read-out: `L17.H5`. */
  readonly name: string;
  /** Screen reader, without the value: `layer 17 head 5`. */
  readonly spoken: string;
  /** Printed in the cell instead of its number: the top token of a logit-lens cell. Raw token text. */
  readonly token?: string;
  /** Printed in the place of the number, which the read-out and the colour keep. */
  readonly text?: string;
  /** Under a threshold: no fill and no number; the read-out says what there is. */
  readonly muted?: boolean;
  /** A dot in the corner: this cell is of another kind than its neighbours; the figure says which. */
  readonly dotted?: boolean;
  /** No fill: what is 1 by definition. */
  readonly bare?: boolean;
  /** A triangle in the corner; the figure says what it means. */
  readonly flagged?: boolean;
  /** Printed before the number in a cell that spans columns: `embedding`. */
  readonly label?: string;
  /** What the read-out says after the value. */
  readonly note?: string;
  /** The same for a screen reader, where it is to be said otherwise. */
  readonly spokenNote?: string;
  /** How many columns it covers; 1 when absent. */
  readonly span?: number;
}

/** A token over a column; `differs`: underlined. */
export interface HeadToken {
  readonly text: string;
  readonly differs: boolean;
}

export interface MatrixColumn {
  readonly label: string;
  /** Lines of tokens over the column, from the top, instead of `label`. */
  readonly heads?: readonly HeadToken[];
  /** Label is a token: monospace. */
  readonly isToken?: boolean;
  /** Neighbours of one group have its name over them. */
  readonly group?: string;
  readonly kind: 'cell' | 'bar';
  /** Px; `gap` lies before the column. */
  readonly width: number;
  readonly gap: number;
}

export interface MatrixRow {
  readonly id: string;
  /** Empty: not labelled. */
  readonly label: string;
  readonly isToken?: boolean;
  /** Neighbours of one group have its name beside or over their first row. */
  readonly group?: string;
  /** Px above the row. */
  readonly gap: number;
  /** One entry a column; undefined where there is nothing (covered by a span, above the diagonal). */
  readonly cells: readonly (MatrixCell | undefined)[];
}

/** A matrix ready to be drawn, rows from top to bottom (layers run upward: the caller puts the last layer first). */
export interface MatrixModel {
  /** Unique in the page: ids in SVG are made of it. */
  readonly id: string;
  readonly title: string;
  readonly unit: string;
  /** Said before each value: `cos`. */
  readonly measure?: string;
  readonly scale: 'diverging' | 'sequential';
  readonly max: number;
  readonly columns: readonly MatrixColumn[];
  readonly rows: readonly MatrixRow[];
  readonly rowHeight: number;
  readonly headHeight: number;
  /** What the lines of `heads` are, from the top. */
  readonly headLabels?: readonly string[];
  /** Width of the row labels, 0 when a neighbour on the same axis has them. */
  readonly labelWidth: number;
  /** Px of `labelWidth` for the names of groups of rows; 0 or none: they stand in the gap over their first row. */
  readonly groupWidth?: number;
  /** Column labels run upward to the right; px that the last one needs beyond its column. */
  readonly overhang?: number;
}

export interface CellAt {
  readonly row: number;
  readonly col: number;
}

export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface Geometry {
  readonly width: number;
  readonly height: number;
  readonly x: readonly number[];
  readonly y: readonly number[];
}

/** Where columns and rows lie, in px; row labels are not included (they are a drawing of their own). */
export function geometryOf(model: MatrixModel): Geometry {
  let width = 0;
  const x = model.columns.map((column) => {
    const at = width + column.gap;
    width = at + column.width;
    return at;
  });
  let height = model.headHeight;
  const y = model.rows.map((row) => {
    const at = height + row.gap;
    height = at + model.rowHeight;
    return at;
  });
  return { width: width + 1 + (model.overhang ?? 0), height: height + 1, x, y };
}

export function cellAt(model: MatrixModel, at: CellAt): MatrixCell | undefined {
  return model.rows[at.row]?.cells[at.col];
}

export function boxOf(model: MatrixModel, geometry: Geometry, at: CellAt): Box {
  const last = at.col + (cellAt(model, at)?.span ?? 1) - 1;
  const x = geometry.x[at.col];
  return {
    x,
    y: geometry.y[at.row],
    width: geometry.x[last] + model.columns[last].width - x,
    height: model.rowHeight,
  };
}

export function findCell(model: MatrixModel, id: string | null): CellAt | null {
  if (id === null) return null;
  for (let row = 0; row < model.rows.length; row++) {
    const col = model.rows[row].cells.findIndex((cell) => cell?.id === id);
    if (col >= 0) return { row, col };
  }
  return null;
}

/** The cell under a point of the drawing, or the nearest one within 6 px: cells may be smaller than a pointer target. */
export function nearestCell(model: MatrixModel, geometry: Geometry, px: number, py: number): CellAt | null {
  let best: CellAt | null = null;
  let bestDistance = 6;
  model.rows.forEach((row, r) => {
    if (Math.abs(py - geometry.y[r] - model.rowHeight / 2) > model.rowHeight / 2 + 6) return;
    row.cells.forEach((cell, c) => {
      if (cell === undefined) return;
      const box = boxOf(model, geometry, { row: r, col: c });
      const dx = Math.max(box.x - px, 0, px - box.x - box.width);
      const dy = Math.max(box.y - py, 0, py - box.y - box.height);
      const distance = Math.hypot(dx, dy);
      if (distance < bestDistance) {
        best = { row: r, col: c };
        bestDistance = distance;
      }
    });
  });
  return best;
}

/** All cells, largest |value| first; what was not run or is not a number comes last. */
export function cellsBySize(model: MatrixModel): CellAt[] {
  const all: { at: CellAt; size: number }[] = [];
  model.rows.forEach((row, r) => {
    row.cells.forEach((cell, c) => {
      if (cell === undefined || model.columns[c].kind === 'bar') return;
      all.push({ at: { row: r, col: c }, size: Number.isFinite(cell.value) ? Math.abs(cell.value ?? 0) : -1 });
    });
  });
  return all.sort((a, b) => b.size - a.size).map(({ at }) => at);
}
