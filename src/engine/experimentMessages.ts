import type { ExperimentNotifications, StepOutcome, StepProgress } from '../shared/experimentRun.ts';

/** Shortest time between two reports of one step, in milliseconds: a CodeLens is drawn no more often. */
const INTERVAL_MS = 250;

type Notify = (name: keyof ExperimentNotifications, params: unknown) => void;

/** Tells the editor how far each step is, a few times a second, and what became of it. */
export class ExperimentMessages {
  #sent = 0;
  #step = '';

  constructor(
    private readonly token: string,
    private readonly notify: Notify,
  ) {}

  readonly listeners = {
    onStepProgress: (progress: StepProgress): void => {
      if (progress.step === this.#step && Date.now() - this.#sent < INTERVAL_MS) return;
      this.#sent = Date.now();
      this.#step = progress.step;
      this.notify('experiment.progress', { token: this.token, progress });
    },
    onStep: (outcome: StepOutcome): void => this.notify('experiment.step', { token: this.token, outcome }),
  };
}
