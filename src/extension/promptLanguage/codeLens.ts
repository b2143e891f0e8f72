import * as vscode from 'vscode';
import { type LensText, lensTexts } from './lensTexts.ts';
import type { PromptSessions } from './promptSessions.ts';

/** VS Code asks for the rows of the whole file at once; after so many, the rest has none. */
const mostRows = 500;

/** VS Code cuts a row at the editor's edge; no extension knows its width, but one beside another group is narrow. */
function isNarrow(): boolean {
  return vscode.window.tabGroups.all.length > 1;
}

function toCodeLens(range: vscode.Range, text: LensText): vscode.CodeLens {
  return new vscode.CodeLens(range, {
    title: text.title,
    command: text.command ?? '',
    ...(text.tooltip !== undefined && { tooltip: text.tooltip }),
    ...(text.argument !== undefined && { arguments: [text.argument] }),
  });
}

/** The row over each prompt. */
export class PromptCodeLens implements vscode.CodeLensProvider, vscode.Disposable {
  readonly #sessions: PromptSessions;
  readonly #changed = new vscode.EventEmitter<void>();
  readonly #subscriptions: readonly vscode.Disposable[];
  #short = isNarrow();

  constructor(sessions: PromptSessions) {
    this.#sessions = sessions;
    this.#subscriptions = [
      sessions.onDidChange(() => this.#changed.fire()),
      vscode.window.tabGroups.onDidChangeTabGroups(() => {
        if (this.#short === isNarrow()) return;
        this.#short = isNarrow();
        this.#changed.fire();
      }),
    ];
  }

  get onDidChangeCodeLenses(): vscode.Event<void> {
    return this.#changed.event;
  }

  provideCodeLenses(document: vscode.TextDocument): vscode.CodeLens[] {
    const session = this.#sessions.get(document);
    if (!session) return [];
    return session.file.prompts.slice(0, mostRows).flatMap((prompt, i) => {
      const start = document.positionAt(prompt.start);
      const range = new vscode.Range(start, start);
      return lensTexts(session, i, document.uri.toString(), this.#short).map((text) => toCodeLens(range, text));
    });
  }

  dispose(): void {
    for (const subscription of this.#subscriptions) subscription.dispose();
    this.#changed.dispose();
  }
}
