import { MechanistError } from '../../shared/errors.ts';
import type { GridCell, GridDocument } from '../../shared/gridDocument.ts';
import type { GridPlace } from './gridPlan.ts';

/** The numbers of a sweep as they come in: one for each cell and item. */
export class GridState {
  /** `[row, column, item]`; NaN where not run. */
  readonly byItem: Float32Array;
  private readonly left: Int32Array;
  private readonly exact: Uint8Array;

  constructor(
    readonly rows: number,
    readonly columns: number,
    readonly items: number,
  ) {
    this.byItem = new Float32Array(rows * columns * items).fill(Number.NaN);
    this.left = new Int32Array(rows * columns).fill(items);
    this.exact = new Uint8Array(rows * columns);
  }

  private index({ row, column }: GridPlace): number {
    return row * this.columns + column;
  }

  isDone(place: GridPlace): boolean {
    return this.left[this.index(place)] === 0;
  }

  /** Whether the model was run for every item of a cell. */
  isExact(place: GridPlace): boolean {
    return this.isDone(place) && this.exact[this.index(place)] === 1;
  }

  /** Forgets the estimate of a cell that is about to be run. */
  reopen(place: GridPlace): void {
    const cell = this.index(place);
    this.left[cell] = this.items;
    this.byItem.fill(Number.NaN, cell * this.items, (cell + 1) * this.items);
  }

  /** Cells that have every item. */
  get done(): number {
    return this.left.reduce((sum, left) => sum + (left === 0 ? 1 : 0), 0);
  }

  get complete(): boolean {
    return this.done === this.left.length;
  }

  /** Notes numbers of one cell; true when none is missing any more. */
  put(place: GridPlace, items: readonly number[], values: readonly number[], exact: boolean): boolean {
    const cell = this.index(place);
    items.forEach((item, i) => {
      const at = cell * this.items + item;
      if (Number.isNaN(this.byItem[at])) this.left[cell] -= 1;
      this.byItem[at] = values[i];
    });
    this.exact[cell] = exact ? 1 : 0;
    return this.left[cell] === 0;
  }

  cell(place: GridPlace): GridCell {
    const at = this.index(place) * this.items;
    const byItem = Array.from(this.byItem.subarray(at, at + this.items));
    return { ...place, byItem, exact: this.exact[this.index(place)] === 1 };
  }

  /** Takes over the finished cells of a partial document. */
  take(document: GridDocument): void {
    const { dims, data } = document.byItem;
    if (dims.join() !== [this.rows, this.columns, this.items].join()) {
      throw new MechanistError('bad-input', 'The document to resume has another shape than the sweep it asks for.');
    }
    const all = Array.from({ length: this.items }, (_, item) => item);
    document.values.forEach((line, row) => {
      line.forEach((value, column) => {
        const at = (row * this.columns + column) * this.items;
        const numbers = Array.from(data.subarray(at, at + this.items));
        if (value === null || numbers.some((number) => Number.isNaN(number))) return;
        this.put({ row, column }, all, numbers, document.exact[row][column]);
      });
    });
  }

  /** The tables of a document. */
  tables(): Pick<GridDocument, 'values' | 'exact' | 'byItem' | 'complete'> {
    const line = (row: number) => Array.from({ length: this.columns }, (_, column) => ({ row, column }));
    const grid = Array.from({ length: this.rows }, (_, row) => line(row));
    return {
      complete: this.complete,
      values: grid.map((places) => places.map((place) => (this.isDone(place) ? this.mean(place) : null))),
      exact: grid.map((places) => places.map((place) => this.exact[this.index(place)] === 1)),
      byItem: { dims: [this.rows, this.columns, this.items], data: this.byItem.slice() },
    };
  }

  /** Mean over the items of a finished cell. */
  mean(place: GridPlace): number {
    const at = this.index(place) * this.items;
    let mean = 0;
    for (let i = 0; i < this.items; i += 1) mean += (this.byItem[at + i] - mean) / (i + 1);
    return mean;
  }
}
