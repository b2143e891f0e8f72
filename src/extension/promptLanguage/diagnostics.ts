import * as vscode from 'vscode';
import type { FileProblem } from './promptRequests.ts';
import type { PromptSessions } from './promptSessions.ts';

function toDiagnostic(document: vscode.TextDocument, problem: FileProblem): vscode.Diagnostic {
  const range = new vscode.Range(document.positionAt(problem.start), document.positionAt(problem.end));
  const severity = problem.severity === 'error' ? vscode.DiagnosticSeverity.Error : vscode.DiagnosticSeverity.Warning;
  const diagnostic = new vscode.Diagnostic(range, problem.message, severity);
  diagnostic.source = 'mechanist';
  diagnostic.code = problem.code;
  return diagnostic;
}

/** Keeps the squiggles of prompt files up to date. */
export function publishDiagnostics(sessions: PromptSessions): vscode.Disposable {
  const collection = vscode.languages.createDiagnosticCollection('mechanist');
  return vscode.Disposable.from(
    collection,
    sessions.onDidChange(({ document, session }) => {
      if (session.isStale) return;
      collection.set(
        document.uri,
        session.problems().map((problem) => toDiagnostic(document, problem)),
      );
    }),
    vscode.workspace.onDidCloseTextDocument(({ uri }) => {
      // A new file may have taken the name of an unsaved one before the old one is reported closed.
      const taken = vscode.workspace.textDocuments.some((d) => !d.isClosed && d.uri.toString() === uri.toString());
      if (!taken) collection.delete(uri);
    }),
  );
}
