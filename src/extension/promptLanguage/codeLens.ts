import * as vscode from 'vscode';
import { type LensText, lensTexts } from './lensTexts.ts';
import type { PromptSessions } from './promptSessions.ts';

/** VS Code asks for the rows of the whole file at once; after so many, the rest has none. */
const mostRows = 500;

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
  readonly #subscription: vscode.Disposable;

  constructor(sessions: PromptSessions) {
    this.#sessions = sessions;
    this.#subscription = sessions.onDidChange(() => this.#changed.fire());
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
      return lensTexts(session, i, document.uri.toString()).map((text) => toCodeLens(range, text));
    });
  }

  dispose(): void {
    this.#subscription.dispose();
    this.#changed.dispose();
  }
}
