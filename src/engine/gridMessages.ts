import { withCells } from '../shared/gridCells.ts';
import type { GridCell, GridDocument, GridNotifications } from '../shared/gridDocument.ts';

/** Shortest time between two messages with cells, in milliseconds: a panel draws no more often. */
const INTERVAL_MS = 250;

type Notify = (name: keyof GridNotifications, params: unknown) => void;

/** Tells the editor of a sweep's cells, a few times a second, and remembers them in case the model is closed between turns. */
export class GridMessages {
  readonly #token: string;
  readonly #notify: Notify;
  #started: GridDocument | undefined;
  #cells: GridCell[] = [];
  #sent = 0;

  constructor(token: string, notify: Notify) {
    this.#token = token;
    this.#notify = notify;
  }

  /** What is known so far; undefined before the sweep has begun. */
  get document(): GridDocument | undefined {
    return this.#started;
  }

  readonly listeners = {
    onStarted: (document: GridDocument): void => {
      const first = this.#started === undefined;
      this.#started = document;
      if (first) this.#notify('grid.started', { token: this.#token, document });
    },
    onCells: (cells: readonly GridCell[]): void => {
      this.#cells.push(...cells);
      if (Date.now() - this.#sent >= INTERVAL_MS) this.flush();
    },
  };

  /** Sends what is left. */
  flush(): void {
    if (this.#cells.length === 0 || this.#started === undefined) return;
    this.#sent = Date.now();
    const cells = this.#cells;
    this.#cells = [];
    this.#started = withCells(this.#started, cells);
    this.#notify('grid.cells', { token: this.#token, cells });
  }
}
