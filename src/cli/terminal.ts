import type { StepProgress } from '../shared/experimentRun.ts';
import { bytes, duration } from '../shared/format.ts';
import type { OnProgress } from '../shared/progress.ts';

/** Where the program reads and writes. The result goes to `out`, everything else to `err`. */
export interface Terminal {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** Standard error is looked at by a person: progress may be redrawn in place. */
  readonly interactive: boolean;
  /** @throws `AbortError` when `signal` fires. */
  readonly readStdin: (signal: AbortSignal) => Promise<string>;
}

/** Time between two drawings of the progress line, in milliseconds. */
const REDRAW_MS = 100;

/** A progress line on standard error, drawn only for people and erased at the end. */
export class ProgressLine {
  readonly #terminal: Terminal;
  #drawn = 0;
  #width = 0;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  /** Reports in `bytes` are written as sizes, in `passes` and `cells` as counts, in `share` as percent only. */
  follow(unit: 'bytes' | 'passes' | 'cells' | 'share'): OnProgress {
    return ({ done, total, label }) => {
      const now = Date.now();
      if (!this.#terminal.interactive || (now - this.#drawn < REDRAW_MS && done < total)) return;
      this.#drawn = now;
      const amount = {
        bytes: `${bytes(done)} of ${bytes(total)}  `,
        passes: `${done} of ${total}  `,
        cells: `${done} of ${total} cells  `,
        share: '',
      }[unit];
      const share = total > 0 ? `${Math.floor((100 * done) / total)} %` : '';
      const line = `${share.padStart(5)}  ${amount}${label}`.slice(0, 78);
      this.#terminal.err(`\r${line.padEnd(this.#width)}`);
      this.#width = line.length;
    };
  }

  /** One line for the step of an experiment that is running. */
  readonly followStep = ({ step, cells, label, secondsLeft }: StepProgress): void => {
    const left = secondsLeft === null ? '' : `, ${duration(secondsLeft)} left`;
    this.follow('cells')({ ...cells, label: `${step} ${label}${left}` });
  };

  clear(): void {
    if (this.#width > 0) this.#terminal.err(`\r${' '.repeat(this.#width)}\r`);
    this.#width = 0;
  }
}
