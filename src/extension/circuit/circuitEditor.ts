import * as vscode from 'vscode';
import { circuitToText, readCircuit } from '../../core/circuits/circuitFile.ts';
import { editCircuit } from '../../shared/circuitEdit.ts';
import type {
  CircuitEdit,
  CircuitPanelState,
  FromCircuitPanel,
  ToCircuitPanel,
} from '../../shared/circuitPanelProtocol.ts';
import type { ForeignFormat } from '../../shared/circuitRequests.ts';
import { circuitEditorType } from '../../shared/contributions.ts';
import type { NotifyingPort } from '../engineClient.ts';
import { nameOf } from '../grid/resultFiles.ts';
import type { Messages } from '../runWithProgress.ts';
import { panelHtml, panelRoots } from '../trace/panelHtml.ts';
import { saveExport } from '../trace/saveExport.ts';
import { CircuitModel } from './circuitModel.ts';
import { askLabel, askModel, askNode, askRole, chooseData } from './circuitQuestions.ts';
import { smallestChange } from './smallestChange.ts';

export interface CircuitContext {
  readonly extensionUri: vscode.Uri;
  readonly port: NotifyingPort;
  readonly messages: Messages;
  readonly log: (line: string) => void;
  /** Every panel that is open, in the order of opening. */
  readonly openCircuits: Set<CircuitPanel>;
}

/** The editor of one circuit file: the text is the document, the page a view of it. */
export class CircuitPanel {
  readonly model: CircuitModel;

  constructor(
    private readonly context: CircuitContext,
    readonly document: vscode.TextDocument,
    panel: vscode.WebviewPanel,
  ) {
    const post = (state: CircuitPanelState) =>
      void panel.webview.postMessage({ type: 'state', state } satisfies ToCircuitPanel);
    this.model = new CircuitModel(context.port, nameOf(document.uri), document.uri.fsPath, post, context.log);
    panel.webview.options = { enableScripts: true, localResourceRoots: panelRoots(context.extensionUri) };
    const listening = vscode.Disposable.from(
      panel.webview.onDidReceiveMessage((message: FromCircuitPanel) => {
        void context.messages.guard(() => this.receive(message));
      }),
      vscode.workspace.onDidChangeTextDocument(({ document: changed, contentChanges }) => {
        if (changed === document && contentChanges.length > 0) this.#show();
      }),
    );
    panel.onDidDispose(() => {
      listening.dispose();
      this.model.dispose();
      context.openCircuits.delete(this);
    });
    context.openCircuits.add(this);
    panel.webview.html = panelHtml(panel.webview, context.extensionUri, 'circuit', nameOf(document.uri));
    this.#show();
  }

  #show(): void {
    void this.context.messages.guard(() => this.model.show(this.document.getText()));
  }

  /** Does what the page asks for. */
  async receive(message: FromCircuitPanel): Promise<void> {
    const { model, document } = this;
    switch (message.type) {
      case 'ready':
        model.repost();
        break;
      case 'showLog':
        this.context.messages.showLog();
        break;
      case 'openAsText':
        await vscode.commands.executeCommand('vscode.openWith', document.uri, 'default');
        break;
      case 'goOn':
        await model.goOn();
        break;
      case 'retry':
        await model.retry();
        break;
      case 'cancel':
        model.cancel();
        break;
      case 'chooseData':
        await this.#chooseData();
        break;
      case 'edit':
        await this.#edit(message.edit);
        break;
      case 'metric':
        await model.setMetric(message.metric);
        break;
      case 'ask':
        await this.#ask(message);
        break;
      case 'select':
        await model.select(message.node, message.answer);
        break;
      case 'copy':
        await vscode.env.clipboard.writeText(message.text);
        break;
      case 'convert':
        await this.#convert(message.to);
        break;
      case 'importGraph':
        await this.#importGraph();
        break;
      case 'export':
        await saveExport(message, document.uri);
        break;
    }
  }

  /** Changes the file's text; the text's own undo stack takes it back. */
  async #edit(edit: CircuitEdit): Promise<void> {
    const { circuit } = readCircuit(this.document.getText());
    if (circuit === null) return;
    const changed = editCircuit(circuit, edit, this.model.state.setting?.parallelResidual);
    if (changed !== circuit) await this.#replace(circuitToText(changed));
  }

  async #replace(text: string): Promise<void> {
    const change = smallestChange(this.document.getText(), text);
    if (change === null) return;
    const { document } = this;
    const range = new vscode.Range(document.positionAt(change.start), document.positionAt(change.end));
    const edit = new vscode.WorkspaceEdit();
    edit.replace(document.uri, range, change.text);
    await vscode.workspace.applyEdit(edit);
  }

  async #convert(to: ForeignFormat): Promise<void> {
    const data = await this.model.convert(to);
    const stem = nameOf(this.document.uri).replace(/\.circuit\.json$/, '');
    if (data) await saveExport({ type: 'export', format: 'json', name: `${stem}.${to}.json`, data }, this.document.uri);
  }

  /** Makes a circuit of a graph of EAP-IG, in the same file: undo brings the graph back. */
  async #importGraph(): Promise<void> {
    const model = await askModel(this.context.port);
    if (model === undefined) return;
    const name = nameOf(this.document.uri).replace(/\.circuit\.json$/, '');
    const text = this.document.getText();
    await this.#replace(await this.context.port.request('circuit.import', { model, name, text }));
  }

  async #chooseData(): Promise<void> {
    const { circuit } = readCircuit(this.document.getText());
    const path = circuit && (await chooseData(this.document.uri));
    if (circuit && path) await this.#replace(circuitToText({ ...circuit, data: { path } }));
  }

  async #ask(message: Extract<FromCircuitPanel, { type: 'ask' }>): Promise<void> {
    const { circuit, setting, gains } = this.model.state;
    if (circuit === null) return;
    if (message.what === 'add') {
      const node = await askNode(circuit, setting, gains);
      if (node !== undefined) await this.#edit({ kind: 'add', node });
    } else if (message.what === 'role') {
      const answer = await askRole(circuit, message.node);
      if (answer) await this.#edit({ kind: 'role', node: message.node, role: answer.role });
    } else {
      const answer = await askLabel(circuit, message.node);
      if (answer) await this.#edit({ kind: 'label', node: message.node, label: answer.label });
    }
  }
}

/** Shows `*.circuit.json` as the circuit it is. */
export class CircuitEditor implements vscode.CustomTextEditorProvider, vscode.Disposable {
  readonly #registration: vscode.Disposable;

  constructor(private readonly context: CircuitContext) {
    this.#registration = vscode.window.registerCustomEditorProvider(circuitEditorType, this, {
      supportsMultipleEditorsPerDocument: true,
    });
  }

  dispose(): void {
    this.#registration.dispose();
  }

  resolveCustomTextEditor(document: vscode.TextDocument, panel: vscode.WebviewPanel): void {
    new CircuitPanel(this.context, document, panel);
  }
}
