import * as vscode from 'vscode';
import type { PromptSessions } from './promptSessions.ts';

/** The cures that problems bring with them. */
export class PromptQuickFixes implements vscode.CodeActionProvider {
  static readonly kinds = [vscode.CodeActionKind.QuickFix];
  readonly #sessions: PromptSessions;

  constructor(sessions: PromptSessions) {
    this.#sessions = sessions;
  }

  provideCodeActions(
    document: vscode.TextDocument,
    range: vscode.Range,
    context: vscode.CodeActionContext,
  ): vscode.CodeAction[] {
    const session = this.#sessions.get(document);
    if (!session || session.isStale) return [];
    const from = document.offsetAt(range.start);
    const to = document.offsetAt(range.end);
    return session.problems().flatMap((problem) => {
      const { fix } = problem;
      if (!fix || problem.start > to || problem.end < from) return [];
      const action = new vscode.CodeAction(fix.title, vscode.CodeActionKind.QuickFix);
      action.edit = new vscode.WorkspaceEdit();
      const place = new vscode.Range(document.positionAt(fix.start), document.positionAt(fix.end));
      action.edit.replace(document.uri, place, fix.newText);
      action.isPreferred = true;
      action.diagnostics = context.diagnostics.filter((d) => d.message === problem.message);
      return [action];
    });
  }
}
