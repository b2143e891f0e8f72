import * as vscode from 'vscode';
import type { FiguresDocument } from '../../shared/figures.ts';
import type { FiguresPanelState, FromFiguresPanel, ToFiguresPanel } from '../../shared/figuresPanelProtocol.ts';
import type { Messages } from '../runWithProgress.ts';
import { panelHtml, panelRoots } from '../trace/panelHtml.ts';
import { saveExport } from '../trace/saveExport.ts';
import { answerCoupling, type Experiments, runStep, type WantedStep } from './couplingRequests.ts';
import { descend, descendFeature } from './descendRequest.ts';

/** What changes the experiment behind the figures. */
type ExperimentMessage = Extract<FromFiguresPanel, { type: 'descend' | 'coupling' }>;

export interface FiguresContext {
  readonly extensionUri: vscode.Uri;
  readonly messages: Messages;
  readonly experiments: Experiments;
  /** Every panel of this kind that is open, in the order of opening. */
  readonly openFigures: Set<FiguresPanel>;
}

/** A webview that shows figures: those of a result's file, or of a run. */
export class FiguresPanel {
  readonly #context: FiguresContext;
  readonly #panel: vscode.WebviewPanel;
  readonly #uri: vscode.Uri;
  readonly #listening: vscode.Disposable;
  #state: FiguresPanelState;
  /** The experiment is being changed for one request: a second click would change it twice. */
  #changing = false;

  constructor(context: FiguresContext, panel: vscode.WebviewPanel, title: string, uri: vscode.Uri) {
    this.#context = context;
    this.#panel = panel;
    this.#uri = uri;
    this.#state = { title, document: null, error: null };
    panel.webview.options = { enableScripts: true, localResourceRoots: panelRoots(context.extensionUri) };
    const icon = (kind: string) => vscode.Uri.joinPath(context.extensionUri, 'media', `trace-${kind}.svg`);
    panel.iconPath = { light: icon('light'), dark: icon('dark') };
    const listening = panel.webview.onDidReceiveMessage((message: FromFiguresPanel) => {
      void context.messages.guard(() => this.receive(message));
    });
    this.#listening = listening;
    panel.onDidDispose(() => this.dispose());
    context.openFigures.add(this);
    panel.webview.html = panelHtml(panel.webview, context.extensionUri, 'results', panel.title);
  }

  /** Lets go of the page. */
  dispose(): void {
    this.#listening.dispose();
    this.#context.openFigures.delete(this);
  }

  get state(): FiguresPanelState {
    return this.#state;
  }

  /** Shows another state, whole. */
  show(change: Partial<Pick<FiguresPanelState, 'document' | 'error'>>): void {
    this.#state = { ...this.#state, ...change };
    this.#post();
  }

  #post(): void {
    void this.#panel.webview.postMessage({ type: 'state', state: this.#state } satisfies ToFiguresPanel);
  }

  /** Changes the experiment behind these figures, and says what is to be run then. */
  async #change(message: ExperimentMessage, document: FiguresDocument): Promise<WantedStep | null> {
    const { experiments } = this.#context;
    this.#changing = true;
    try {
      if (message.type === 'descend') return await descend(this.#uri, document, message.under, experiments);
      const { request } = message;
      return request.type === 'mapHeads'
        ? await descendFeature(this.#uri, document, request.feature, experiments)
        : await answerCoupling(this.#uri, document, request, experiments);
    } finally {
      this.#changing = false;
    }
  }

  async #changeAndRun(message: ExperimentMessage): Promise<void> {
    const { document } = this.#state;
    if (this.#changing || document?.kind !== 'figures') return;
    const wanted = await this.#change(message, document);
    if (wanted !== null) await runStep(wanted, this.#context.experiments);
  }

  /** Does what the page asks for. */
  async receive(message: FromFiguresPanel): Promise<void> {
    switch (message.type) {
      case 'ready':
        this.#post();
        break;
      case 'showLog':
        this.#context.messages.showLog();
        break;
      case 'openAsText':
        await vscode.commands.executeCommand('vscode.openWith', this.#uri, 'default');
        break;
      case 'copy':
        await vscode.env.clipboard.writeText(message.text);
        break;
      case 'export':
        await saveExport(message, this.#uri);
        break;
      case 'descend':
      case 'coupling':
        await this.#changeAndRun(message);
        break;
    }
  }
}
