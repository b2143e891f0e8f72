import * as vscode from 'vscode';
import { publishDatasetProblems } from './datasetDiagnostics.ts';
import { datasetSelector } from './datasetDocuments.ts';
import { DatasetEditor } from './datasetEditor.ts';
import { DatasetHover } from './datasetHover.ts';
import { DatasetCodeLens } from './datasetLens.ts';
import type { DatasetPanelContext } from './datasetPanel.ts';

/** Everything that is seen of datasets, in their text and as tokens. Their language stays what it is: JSON Lines. */
export function registerDatasets(context: DatasetPanelContext): vscode.Disposable {
  const { datasets: documents } = context;
  const lens = new DatasetCodeLens(documents);
  return vscode.Disposable.from(
    documents,
    lens,
    new DatasetEditor(context),
    publishDatasetProblems(documents),
    vscode.languages.registerCodeLensProvider(datasetSelector, lens),
    vscode.languages.registerHoverProvider(datasetSelector, new DatasetHover(documents)),
  );
}
