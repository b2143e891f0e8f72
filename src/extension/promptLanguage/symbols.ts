import * as vscode from 'vscode';
import type { PromptSessions } from './promptSessions.ts';

const mostSymbols = 1000;

/** Breadcrumb and outline: `prompt 5 of 7`. */
export class PromptSymbols implements vscode.DocumentSymbolProvider {
  readonly #sessions: PromptSessions;

  constructor(sessions: PromptSessions) {
    this.#sessions = sessions;
  }

  provideDocumentSymbols(document: vscode.TextDocument): vscode.DocumentSymbol[] {
    const prompts = this.#sessions.get(document)?.file.prompts ?? [];
    return prompts.slice(0, mostSymbols).map((prompt, i) => {
      const range = new vscode.Range(document.positionAt(prompt.start), document.positionAt(prompt.end));
      const detail = prompt.text.slice(0, 60).split('\n', 1)[0] ?? '';
      const name = `prompt ${i + 1} of ${prompts.length}`;
      return new vscode.DocumentSymbol(name, detail, vscode.SymbolKind.String, range, range);
    });
  }
}
