import * as vscode from 'vscode';
import { isCancelled } from '../../shared/errors.ts';
import { gridFromJson } from '../../shared/gridFile.ts';
import type { FromGridPanel, GridPanelState, ToGridPanel } from '../../shared/gridPanelProtocol.ts';
import type { NotifyingPort } from '../engineClient.ts';
import type { FiguresPanel } from '../results/figuresPanel.ts';
import type { Messages } from '../runWithProgress.ts';
import { panelHtml, panelRoots } from '../trace/panelHtml.ts';
import { saveExport } from '../trace/saveExport.ts';
import { GridModel } from './gridModel.ts';
import { chooseResult, nameOf, readText, saveResult } from './resultFiles.ts';

/** What heat-map panels work with. */
export interface GridContext {
  readonly extensionUri: vscode.Uri;
  readonly port: NotifyingPort;
  readonly messages: Messages;
  readonly log: (line: string) => void;
  /** Every panel that is open, in the order of opening. */
  readonly open: Set<GridPanel>;
  /** Editors of results that are no heat-maps. */
  readonly openFigures: Set<FiguresPanel>;
}

/** Where a panel's result comes from, as far as it is known. */
export interface GridOrigin {
  /** The prompt file, or the file of the result: exports and saved results go beside it. */
  readonly uri: vscode.Uri;
  /** Asks again what the prompt file asks now; null for a result from a file. */
  readonly runAgain: (() => Promise<void>) | null;
  /** Shows the prompt of an item in the editor; null for a result from a file. */
  readonly openItem: ((item: number) => Promise<void>) | null;
}

/** A webview that shows a sweep: a panel of its own, or the editor of a result. */
export class GridPanel {
  readonly model: GridModel;
  readonly #context: GridContext;
  readonly #panel: vscode.WebviewPanel;
  readonly #origin: GridOrigin;
  readonly #listening: vscode.Disposable;

  constructor(context: GridContext, panel: vscode.WebviewPanel, title: string, origin: GridOrigin) {
    this.#context = context;
    this.#panel = panel;
    this.#origin = origin;
    const post = (state: GridPanelState) =>
      void panel.webview.postMessage({ type: 'state', state } satisfies ToGridPanel);
    this.model = new GridModel(context.port, title, post, context.log);
    this.model.update({ canRunAgain: origin.runAgain !== null });
    panel.webview.options = { enableScripts: true, localResourceRoots: panelRoots(context.extensionUri) };
    const icon = (kind: string) => vscode.Uri.joinPath(context.extensionUri, 'media', `trace-${kind}.svg`);
    panel.iconPath = { light: icon('light'), dark: icon('dark') };
    const listening = panel.webview.onDidReceiveMessage((message: FromGridPanel) => {
      void context.messages.guard(() => this.receive(message));
    });
    this.#listening = listening;
    panel.onDidDispose(() => this.dispose());
    context.open.add(this);
    panel.webview.html = panelHtml(panel.webview, context.extensionUri, 'grid', panel.title);
  }

  /** Stops what runs and lets go of the page. */
  dispose(): void {
    this.#listening.dispose();
    this.model.dispose();
    this.#context.open.delete(this);
  }

  reveal(): void {
    this.#panel.reveal(undefined, true);
  }

  /** Does what the page asks for. */
  async receive(message: FromGridPanel): Promise<void> {
    const { model } = this;
    switch (message.type) {
      case 'ready':
        model.repost();
        break;
      case 'select':
        await model.select(message.place, message.item);
        break;
      case 'openItem':
        await this.#origin.openItem?.(message.item);
        break;
      case 'cancel':
        model.cancel();
        break;
      case 'resume':
        await model.resume();
        break;
      case 'runAgain':
        await this.#origin.runAgain?.();
        break;
      case 'save':
        await this.#save();
        break;
      case 'compare':
        await this.#compare();
        break;
      case 'endComparison':
        model.compare(null);
        break;
      case 'showLog':
        this.#context.messages.showLog();
        break;
      case 'copy':
        await vscode.env.clipboard.writeText(message.text);
        break;
      case 'export':
        await saveExport(message, this.#origin.uri);
        break;
    }
  }

  async #save(): Promise<void> {
    const { document } = this.model.state;
    if (!document) return;
    const uri = await saveResult(document, this.#origin.uri);
    if (uri && this.model.state.document === document) this.model.update({ saved: nameOf(uri) });
  }

  async #compare(): Promise<void> {
    const uri = await chooseResult(this.#origin.uri);
    if (!uri) return;
    try {
      this.model.compare({ name: nameOf(uri), document: gridFromJson(await readText(uri)) });
    } catch (error) {
      if (!isCancelled(error)) throw error;
    }
  }
}
