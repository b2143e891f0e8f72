import * as vscode from 'vscode';
import type { DatasetPanelState, FromDatasetPanel, ToDatasetPanel } from '../../shared/datasetPanelProtocol.ts';
import { describeAbsent } from '../modelDirectory.ts';
import type { Messages } from '../runWithProgress.ts';
import { panelHtml, panelRoots } from '../trace/panelHtml.ts';
import { type DatasetDocuments, isDataset } from './datasetDocuments.ts';
import { datasetFinding } from './datasetLens.ts';

export interface DatasetPanelContext {
  readonly extensionUri: vscode.Uri;
  readonly messages: Messages;
  readonly datasets: DatasetDocuments;
  /** Every panel of this kind that is open, in the order of opening. */
  readonly openDatasets: Set<DatasetPanel>;
}

type Asked = Extract<FromDatasetPanel, { readonly type: 'window' }>;

/** Rows of the first window, before the page has said how many it can show. */
const FIRST_ROWS = 60;

/** A webview that shows a dataset row by row in the model's tokens. The document is its only source. */
export class DatasetPanel {
  readonly #context: DatasetPanelContext;
  readonly #document: vscode.TextDocument;
  readonly #panel: vscode.WebviewPanel;
  readonly #listening: vscode.Disposable;
  #asked: Asked = { type: 'window', filter: 'all', from: 0, count: FIRST_ROWS };
  #state: DatasetPanelState;

  constructor(context: DatasetPanelContext, document: vscode.TextDocument, panel: vscode.WebviewPanel, title: string) {
    this.#context = context;
    this.#document = document;
    this.#panel = panel;
    this.#state = { title, finding: 'reading tokens…', summary: null, window: null, notice: null };
    panel.webview.options = { enableScripts: true, localResourceRoots: panelRoots(context.extensionUri) };
    const changed = (other: vscode.TextDocument) => {
      if (other === document) void context.messages.guard(() => this.#refresh());
    };
    this.#listening = vscode.Disposable.from(
      panel.webview.onDidReceiveMessage((message: FromDatasetPanel) => {
        void context.messages.guard(() => this.receive(message));
      }),
      context.datasets.onDidChange(changed),
      context.datasets.onDidClose(changed),
    );
    panel.onDidDispose(() => {
      this.#listening.dispose();
      context.openDatasets.delete(this);
    });
    context.openDatasets.add(this);
    panel.webview.html = panelHtml(panel.webview, context.extensionUri, 'dataset', title);
  }

  get state(): DatasetPanelState {
    return this.#state;
  }

  /** Does what the page asks for. */
  async receive(message: FromDatasetPanel): Promise<void> {
    switch (message.type) {
      case 'ready':
        await this.#refresh();
        break;
      case 'window':
        this.#asked = message;
        await this.#refresh();
        break;
      case 'showLog':
        this.#context.messages.showLog();
        break;
      case 'openAsText':
        await vscode.commands.executeCommand('vscode.openWith', this.#document.uri, 'default');
        break;
      case 'openLine': {
        const at = new vscode.Position(message.line, message.column);
        const selection = new vscode.Range(at, at);
        await vscode.window.showTextDocument(this.#document, { viewColumn: vscode.ViewColumn.Beside, selection });
        break;
      }
      case 'copy':
        await vscode.env.clipboard.writeText(message.text);
        break;
    }
  }

  /** Shows the file as it was last checked, and the rows that were last asked for. */
  async #refresh(): Promise<void> {
    const known = this.#context.datasets.state(this.#document);
    const { summary = null, model = null, error = null } = known ?? {};
    const absent =
      model?.kind === 'absent' ? `${describeAbsent(model.absent)}: only the form of the rows is checked.` : null;
    const foreign = isDataset(this.#document)
      ? null
      : 'This is no dataset of Mechanist: its first line is {"dataset": …} or a row with "clean".';
    const finding = known === null ? (foreign === null ? 'reading tokens…' : 'no dataset') : datasetFinding(known);
    this.#state = { ...this.#state, finding, summary, notice: foreign ?? error ?? absent };
    if (foreign !== null) this.#state = { ...this.#state, summary: null, window: null };
    this.#post();
    if (summary === null) return;
    const { filter, from, count } = this.#asked;
    const by = filter === 'all' ? 'index' : 'refused';
    const rows = await this.#context.datasets.rows(this.#document, { by, from, count });
    const asked = this.#asked;
    if (rows === null || asked.filter !== filter || asked.from !== from) return;
    this.#state = { ...this.#state, window: { filter, from, rows } };
    this.#post();
  }

  #post(): void {
    void this.#panel.webview.postMessage({ type: 'state', state: this.#state } satisfies ToDatasetPanel);
  }
}
