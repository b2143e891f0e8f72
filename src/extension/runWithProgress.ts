import * as vscode from 'vscode';
import { isCancelled, MechanistError } from '../shared/errors.ts';
import type { OnProgress } from '../shared/progress.ts';

/** The one place where errors become messages. */
export class Messages {
  readonly #log: vscode.LogOutputChannel;

  constructor(log: vscode.LogOutputChannel) {
    this.#log = log;
  }

  /** One clear sentence with *Show Log*; nothing for what was cancelled. Stacks go to the log only. */
  error(error: unknown): void {
    if (isCancelled(error)) return;
    const expected = error instanceof MechanistError && error.code !== 'internal';
    const text = error instanceof Error ? error.message : String(error);
    this.#log.error(error instanceof Error ? (error.stack ?? text) : text);
    const sentence = expected ? text : `Something unexpected went wrong: ${text.split('\n', 1)[0]}`;
    this.#show(vscode.window.showErrorMessage(sentence, 'Show Log'));
  }

  /** Something a person has to know once. */
  warn(sentence: string): void {
    this.#log.warn(sentence);
    this.#show(vscode.window.showWarningMessage(sentence, 'Show Log'));
  }

  showLog(): void {
    this.#log.show();
  }

  #show(choice: Thenable<string | undefined>): void {
    void choice.then((picked) => {
      if (picked === 'Show Log') this.showLog();
    });
  }

  /** Runs a command; whatever it throws is shown. Resolves to undefined then. */
  async guard<T>(run: () => Promise<T> | T): Promise<T | undefined> {
    try {
      return await run();
    } catch (error) {
      this.error(error);
      return undefined;
    }
  }

  /**
   * Runs something long with a notification that shows progress and cancels it.
   * Resolves to undefined when it was cancelled or failed; the failure has been shown.
   */
  runWithProgress<T>(
    title: string,
    run: (signal: AbortSignal, onProgress: OnProgress) => Promise<T>,
  ): Promise<T | undefined> {
    const options = { location: vscode.ProgressLocation.Notification, title, cancellable: true };
    const task = vscode.window.withProgress(options, async (progress, token) => {
      const { signal, dispose } = abortSignalOf(token);
      let shown = 0;
      try {
        return await run(signal, ({ done, total, label }) => {
          const percent = total > 0 ? (100 * done) / total : 0;
          progress.report({ message: label, increment: Math.max(0, percent - shown) });
          shown = Math.max(shown, percent);
        });
      } finally {
        dispose();
      }
    });
    return this.guard(async () => await task);
  }
}

/** An AbortSignal that follows a CancellationToken. */
export function abortSignalOf(token: vscode.CancellationToken): { signal: AbortSignal; dispose(): void } {
  const controller = new AbortController();
  if (token.isCancellationRequested) controller.abort();
  const subscription = token.onCancellationRequested(() => controller.abort());
  return { signal: controller.signal, dispose: () => subscription.dispose() };
}
