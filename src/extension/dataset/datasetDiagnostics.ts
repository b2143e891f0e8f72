import * as vscode from 'vscode';
import { describeAbsent } from '../modelDirectory.ts';
import type { DatasetDocuments, DatasetState } from './datasetDocuments.ts';

/** Where the header names the model; else the file's first line. */
function modelRange(document: vscode.TextDocument): vscode.Range {
  const line = document.lineAt(0);
  const found = /"model"\s*:\s*("(?:[^"\\]|\\.)*")/d.exec(line.text)?.indices?.[1];
  return found === undefined ? line.range : new vscode.Range(0, found[0], 0, found[1]);
}

function diagnosticsOf(document: vscode.TextDocument, state: DatasetState): vscode.Diagnostic[] {
  const { Error: error, Warning: warning } = vscode.DiagnosticSeverity;
  const found = (state.summary?.problems ?? []).map(({ line, column, length, severity, code, message }) => {
    const range = new vscode.Range(line, column, line, column + length);
    const diagnostic = new vscode.Diagnostic(range, message, severity === 'error' ? error : warning);
    diagnostic.code = code;
    return diagnostic;
  });
  if (state.model?.kind === 'absent') {
    const message = `${describeAbsent(state.model.absent)}. Only the form of the rows is checked, not their tokens.`;
    const diagnostic = new vscode.Diagnostic(modelRange(document), message, warning);
    diagnostic.code = 'unknown-model';
    found.unshift(diagnostic);
  }
  if (state.error !== null) found.unshift(new vscode.Diagnostic(document.lineAt(0).range, state.error, error));
  for (const diagnostic of found) diagnostic.source = 'mechanist';
  return found;
}

/** Keeps the squiggles of datasets up to date: those of the last check stay until there is another. */
export function publishDatasetProblems(documents: DatasetDocuments): vscode.Disposable {
  const collection = vscode.languages.createDiagnosticCollection('mechanist datasets');
  return vscode.Disposable.from(
    collection,
    documents.onDidChange((document) => {
      const state = documents.state(document);
      if (state !== null && state.status !== 'checking') collection.set(document.uri, diagnosticsOf(document, state));
    }),
    documents.onDidClose(({ uri }) => collection.delete(uri)),
  );
}
