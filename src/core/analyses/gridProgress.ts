import type { RunContext } from '../engine/modelRunner.ts';

/** Progress of a sweep in cells; one that is estimated and then run counts twice. Never goes back. */
export class GridProgress {
  private done = 0;

  constructor(
    private readonly total: number,
    private readonly context: Pick<RunContext, 'onProgress'>,
  ) {}

  report(done: number, label: string): void {
    this.done = Math.max(this.done, Math.min(done, this.total));
    this.context.onProgress?.({ done: this.done, total: this.total, label });
  }
}
