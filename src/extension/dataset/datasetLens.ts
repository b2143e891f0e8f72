import * as vscode from 'vscode';
import { datasetEditorType } from '../../shared/contributions.ts';
import { count } from '../../shared/format.ts';
import { describeAbsent } from '../modelDirectory.ts';
import type { DatasetDocuments, DatasetState } from './datasetDocuments.ts';

/** `200 rows, 3 refused`, or what stands in the way. */
export function datasetFinding({ status, summary, model, error }: DatasetState): string {
  if (status === 'failed') return error ?? 'The dataset cannot be read';
  if (summary === null) return 'reading tokens…';
  const rows = `${count(summary.good)} ${summary.good === 1 ? 'row' : 'rows'}`;
  const refused = summary.refused === 0 ? '' : `, ${count(summary.refused)} refused`;
  const absent = model?.kind === 'absent' ? `, tokens not read: ${describeAbsent(model.absent)}` : '';
  const doing = status === 'checking' ? ' (reading again…)' : status === 'stale' ? ' (save to check again)' : '';
  return rows + refused + absent + doing;
}

/** The row over a dataset: what it holds, for which model, and the way to its tokens. */
export class DatasetCodeLens implements vscode.CodeLensProvider, vscode.Disposable {
  readonly #changed = new vscode.EventEmitter<void>();
  readonly #listening: vscode.Disposable;

  constructor(private readonly documents: DatasetDocuments) {
    this.#listening = vscode.Disposable.from(
      documents.onDidChange(() => this.#changed.fire()),
      documents.onDidClose(() => this.#changed.fire()),
    );
  }

  get onDidChangeCodeLenses(): vscode.Event<void> {
    return this.#changed.event;
  }

  provideCodeLenses(document: vscode.TextDocument): vscode.CodeLens[] {
    const state = this.documents.state(document);
    if (state === null) return [];
    const top = new vscode.Range(0, 0, 0, 0);
    const model = state.summary?.model;
    const texts = [datasetFinding(state), ...(model === null || model === undefined ? [] : [model])];
    return [
      new vscode.CodeLens(top, {
        title: 'Show Tokens',
        command: 'vscode.openWith',
        arguments: [document.uri, datasetEditorType, vscode.ViewColumn.Beside],
        tooltip: 'Each row as the model reads it: tokens, roles, answers, corrupted tokens',
      }),
      ...texts.map((title) => new vscode.CodeLens(top, { title, command: '' })),
    ];
  }

  dispose(): void {
    this.#listening.dispose();
    this.#changed.dispose();
  }
}
