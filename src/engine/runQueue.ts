import { MechanistError, throwIfCancelled } from '../shared/errors.ts';

interface Entry {
  readonly start: () => void;
}

/**
 * One run at a time, in the order asked: inference already uses every thread it may, and open models stay open while
 * they are used. A waiting entry whose signal fires ends at once and costs nothing.
 */
export class RunQueue {
  readonly #waiting: Entry[] = [];
  #busy = false;

  /** Runs that wait, without the one that is running. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** @throws MechanistError `cancelled` if `signal` fires before `job` starts; afterwards whatever `job` throws. */
  async run<T>(signal: AbortSignal, job: () => Promise<T>): Promise<T> {
    throwIfCancelled(signal);
    await this.#turn(signal);
    try {
      throwIfCancelled(signal);
      return await job();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#busy = false;
      else next.start();
    }
  }

  /**
   * Called by the job that is running: lets everything that waits now go first, and returns when it is this job's turn again.
   * Costs nothing when nobody waits. Is not cut short by a signal: the job must end, or go on, with its turn.
   */
  async giveWay(): Promise<void> {
    const next = this.#waiting.shift();
    if (next === undefined) return;
    await new Promise<void>((resolve) => {
      this.#waiting.push({ start: resolve });
      next.start();
    });
  }

  #turn(signal: AbortSignal): Promise<void> {
    if (!this.#busy) {
      this.#busy = true;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.#waiting.splice(this.#waiting.indexOf(entry), 1);
        reject(new MechanistError('cancelled', 'Cancelled.'));
      };
      const entry: Entry = {
        start: () => {
          signal.removeEventListener('abort', onAbort);
          resolve();
        },
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.push(entry);
    });
  }
}
