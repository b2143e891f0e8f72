import { randomUUID } from 'node:crypto';
import * as vscode from 'vscode';
import type { ExperimentFile, ExperimentStep } from '../../core/tasks/experiment/experimentTypes.ts';
import { MechanistError } from '../../shared/errors.ts';
import type { ExperimentNotifications } from '../../shared/experimentRun.ts';
import type { NotifyingPort } from '../engineClient.ts';
import type { Messages } from '../runWithProgress.ts';
import { readPromptSettings } from '../settings.ts';
import type { ExperimentDocuments } from './experimentDocuments.ts';
import { progressText } from './lensTexts.ts';
import type { StepResults } from './stepResults.ts';
import { type LiveRun, type StepState, stepState } from './stepStates.ts';

interface Running extends LiveRun {
  readonly document: vscode.TextDocument;
  readonly token: string;
  readonly controller: AbortController;
}

/** Runs of experiments, one for each file at a time, and how every step stands. */
export class ExperimentRuns implements vscode.Disposable {
  readonly #running = new Map<string, Running>();
  /** Why steps could not be run, by file and step. */
  readonly #failures = new Map<string, Map<string, string>>();
  readonly #changed = new vscode.EventEmitter<vscode.TextDocument>();
  readonly #listening: vscode.Disposable;

  constructor(
    private readonly port: NotifyingPort,
    private readonly documents: ExperimentDocuments,
    private readonly results: StepResults,
    private readonly messages: Messages,
  ) {
    const notified = port.onNotification((name, params) => this.#notified(name, params));
    const changed = results.onDidChange((document) => this.#changed.fire(document));
    const edited = documents.onDidChange((document) => {
      // What failed may be what was just put right.
      this.#failures.delete(document.uri.toString());
    });
    this.#listening = vscode.Disposable.from(changed, edited, { dispose: () => notified.dispose() });
  }

  /** Something that is seen of a file's steps has changed. */
  get onDidChange(): vscode.Event<vscode.TextDocument> {
    return this.#changed.event;
  }

  state(document: vscode.TextDocument, file: ExperimentFile, step: ExperimentStep): StepState {
    const key = document.uri.toString();
    const { steps, dataChangedAt } = this.results.of(document);
    return stepState(file, step, {
      ...{ live: this.#running.get(key) ?? null, result: steps.get(step.name), dataChangedAt },
      failure: this.#failures.get(key)?.get(step.name),
    });
  }

  /** @throws MechanistError `bad-input`: the file cannot be run now: it is not saved, has mistakes, or a run of it is going on */
  check(document: vscode.TextDocument): void {
    if (document.uri.scheme !== 'file') {
      throw new MechanistError('bad-input', 'Save the experiment first: its results are written beside it.');
    }
    if (this.#running.has(document.uri.toString())) {
      throw new MechanistError('bad-input', 'This experiment is running. Cancel it first; what is done is kept.');
    }
    const error = this.documents.file(document).problems.find(({ severity }) => severity === 'error');
    if (error === undefined) return;
    const line = document.positionAt(error.start).line + 1;
    throw new MechanistError('bad-input', `Line ${line}: ${error.message}`);
  }

  /** Stops a run; what is done is kept. */
  cancel(uri: string): void {
    this.#running.get(uri)?.controller.abort();
  }

  /**
   * Runs a file's steps, or one of them, with a notification that shows progress and cancels.
   * @throws MechanistError `bad-input`: the file has mistakes, or a run of it is going on
   */
  async run(document: vscode.TextDocument, steps: readonly string[] | undefined, fresh: boolean): Promise<void> {
    const key = document.uri.toString();
    const file = this.documents.file(document);
    this.check(document);
    await document.save();
    const controller = new AbortController();
    const waiting = new Set(steps ?? file.steps.map(({ name }) => name));
    const token = randomUUID();
    this.#running.set(key, { document, token, controller, waiting, progress: null });
    this.#failures.delete(key);
    this.#changed.fire(document);
    const name = vscode.workspace.asRelativePath(document.uri);
    const text = document.getText();
    const observables = readPromptSettings(document).observables.specs;
    try {
      await this.messages.runWithProgress(`Running ${name}`, async (signal, onProgress) => {
        const label = (own: string) => {
          const progress = this.#running.get(key)?.progress;
          return progress ? `${progress.step}: ${progressText(progress)}` : own;
        };
        await this.port.request(
          'experiment.run',
          { path: document.uri.fsPath, text, token, observables, ...(steps && { steps }), ...(fresh && { fresh }) },
          {
            signal: AbortSignal.any([signal, controller.signal]),
            onProgress: ({ done, total, label: own }) => onProgress({ done, total, label: label(own) }),
          },
        );
      });
    } finally {
      this.#running.delete(key);
      await this.results.refresh(document);
      this.#changed.fire(document);
    }
  }

  dispose(): void {
    for (const { controller } of this.#running.values()) controller.abort();
    this.#listening.dispose();
    this.#changed.dispose();
  }

  #notified(name: string, params: unknown): void {
    if (name !== 'experiment.progress' && name !== 'experiment.step') return;
    const { token } = params as ExperimentNotifications[typeof name];
    const entry = [...this.#running].find(([, running]) => running.token === token);
    if (entry === undefined) return;
    const [key, running] = entry;
    if (name === 'experiment.progress') {
      const { progress } = params as ExperimentNotifications['experiment.progress'];
      this.#running.set(key, { ...running, progress });
      this.#changed.fire(running.document);
      return;
    }
    const { outcome } = params as ExperimentNotifications['experiment.step'];
    const waiting = new Set([...running.waiting].filter((step) => step !== outcome.step));
    this.#running.set(key, { ...running, waiting, progress: null });
    if (outcome.message !== null) {
      this.#failures.set(key, new Map([...(this.#failures.get(key) ?? []), [outcome.step, outcome.message]]));
    }
    void this.results.refresh(running.document);
  }
}
