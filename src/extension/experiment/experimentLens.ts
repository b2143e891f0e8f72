import * as vscode from 'vscode';
import type { ExperimentDocuments } from './experimentDocuments.ts';
import type { ExperimentRuns } from './experimentRuns.ts';
import { type ExperimentLensText, stepLens, topLens } from './lensTexts.ts';
import { shownChecks } from './stepStates.ts';

/** How often `3 min ago` is written anew, in milliseconds. */
const MINUTE_MS = 60_000;

function toCodeLens(range: vscode.Range, text: ExperimentLensText): vscode.CodeLens {
  return new vscode.CodeLens(range, {
    // A plain space behind an icon is not drawn.
    title: text.title.replace(/^(\$\([\w~-]+\)) /, '$1\u00a0'),
    command: text.target === undefined ? '' : 'mechanist.runExperiment',
    ...(text.tooltip !== undefined && { tooltip: text.tooltip }),
    ...(text.target !== undefined && { arguments: [text.target] }),
  });
}

/** The rows at the top of an experiment file and over each of its steps. */
export class ExperimentCodeLens implements vscode.CodeLensProvider, vscode.Disposable {
  readonly #changed = new vscode.EventEmitter<void>();
  readonly #listening: readonly vscode.Disposable[];
  readonly #clock: ReturnType<typeof setInterval>;

  constructor(
    private readonly documents: ExperimentDocuments,
    private readonly runs: ExperimentRuns,
  ) {
    this.#listening = [runs.onDidChange(() => this.#changed.fire())];
    this.#clock = setInterval(() => this.#changed.fire(), MINUTE_MS);
  }

  get onDidChangeCodeLenses(): vscode.Event<void> {
    return this.#changed.event;
  }

  provideCodeLenses(document: vscode.TextDocument): vscode.CodeLens[] {
    const file = this.documents.file(document);
    const uri = document.uri.toString();
    const states = file.steps.map((step) => this.runs.state(document, file, step));
    const checks = shownChecks(file, (step) => this.runs.state(document, file, step));
    const rangeAt = (offset: number) => {
      const at = document.positionAt(offset);
      return new vscode.Range(at, at);
    };
    const top = topLens(file, states, checks, uri).map((text) => toCodeLens(rangeAt(0), text));
    const now = Date.now();
    const steps = file.steps.flatMap((step, i) =>
      stepLens(step, states[i], uri, now).map((text) => toCodeLens(rangeAt(step.start), text)),
    );
    return [...top, ...steps];
  }

  dispose(): void {
    clearInterval(this.#clock);
    vscode.Disposable.from(...this.#listening, this.#changed).dispose();
  }
}
