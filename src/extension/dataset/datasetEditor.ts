import * as vscode from 'vscode';
import { datasetEditorType } from '../../shared/contributions.ts';
import { DatasetPanel, type DatasetPanelContext } from './datasetPanel.ts';

/** *Open With… Mechanist Dataset*: the rows of a `.jsonl` file in the model's tokens. */
export class DatasetEditor implements vscode.CustomTextEditorProvider, vscode.Disposable {
  readonly #context: DatasetPanelContext;
  readonly #registration: vscode.Disposable;

  constructor(context: DatasetPanelContext) {
    this.#context = context;
    this.#registration = vscode.window.registerCustomEditorProvider(datasetEditorType, this);
  }

  dispose(): void {
    this.#registration.dispose();
  }

  resolveCustomTextEditor(document: vscode.TextDocument, panel: vscode.WebviewPanel): void {
    const name = document.uri.path.split('/').at(-1) ?? 'dataset';
    new DatasetPanel(this.#context, document, panel, name);
  }
}
