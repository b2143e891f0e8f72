import * as vscode from 'vscode';
import { isCancelled, MechanistError } from '../../shared/errors.ts';
import type { DatasetDocuments } from './datasetDocuments.ts';
import { rowCard } from './rowCard.ts';

/** Explains the row under the mouse. */
export class DatasetHover implements vscode.HoverProvider {
  constructor(private readonly documents: DatasetDocuments) {}

  async provideHover(document: vscode.TextDocument, { line }: vscode.Position): Promise<vscode.Hover | undefined> {
    const summary = this.documents.state(document)?.summary;
    if (!summary || summary.model === null) return undefined;
    try {
      const [row] = (await this.documents.rows(document, { by: 'line', line })) ?? [];
      if (row === undefined) return undefined;
      const card = new vscode.MarkdownString(rowCard(row, summary));
      card.supportHtml = true;
      return new vscode.Hover(card, document.lineAt(line).range);
    } catch (error) {
      if (isCancelled(error) || !(error instanceof MechanistError)) return undefined;
      return new vscode.Hover(new vscode.MarkdownString().appendText(error.message));
    }
  }
}
