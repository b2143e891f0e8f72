import { basename } from 'node:path';
import * as vscode from 'vscode';
import { type PromptTarget, tracePanelType } from '../../shared/contributions.ts';
import { panelRoots } from './panelHtml.ts';
import { type PanelContext, TracePanel } from './tracePanel.ts';

const targetsKey = 'mechanist.tracePanels';

/** All open trace panels, one for each prompt file, and their return after a reload of the window. */
export class TracePanels implements vscode.Disposable, vscode.WebviewPanelSerializer {
  readonly #context: PanelContext;
  readonly #memory: vscode.Memento;
  readonly #panels = new Set<TracePanel>();
  readonly #registration: vscode.Disposable;

  constructor(context: PanelContext, memory: vscode.Memento) {
    this.#context = context;
    this.#memory = memory;
    this.#registration = vscode.window.registerWebviewPanelSerializer(tracePanelType, this);
  }

  /** Shows a prompt in the panel of its file, which is opened beside the editor if need be. */
  show(target: PromptTarget): void {
    const open = [...this.#panels].find((panel) => panel.target.uri === target.uri);
    if (open) {
      void open.show(target).then(() => this.#remember());
      return;
    }
    const title = `Trace: ${basename(vscode.Uri.parse(target.uri).path)}`;
    const place = { viewColumn: vscode.ViewColumn.Beside, preserveFocus: true };
    const panel = vscode.window.createWebviewPanel(tracePanelType, title, place, {
      enableScripts: true,
      enableFindWidget: true,
      localResourceRoots: panelRoots(this.#context.extensionUri),
    });
    this.#adopt(panel, target);
  }

  async deserializeWebviewPanel(panel: vscode.WebviewPanel): Promise<void> {
    const kept = this.#memory.get<Readonly<Record<string, PromptTarget>>>(targetsKey) ?? {};
    const target = kept[panel.title];
    if (target) this.#adopt(panel, target);
    else panel.dispose();
  }

  dispose(): void {
    this.#registration.dispose();
  }

  #adopt(panel: vscode.WebviewPanel, target: PromptTarget): void {
    const icon = (kind: string) => vscode.Uri.joinPath(this.#context.extensionUri, 'media', `trace-${kind}.svg`);
    panel.iconPath = { light: icon('light'), dark: icon('dark') };
    const made = new TracePanel(this.#context, panel, target, () => {
      this.#panels.delete(made);
      this.#context.sessions.panelFocused(made.target.uri, false);
      this.#remember();
    });
    this.#panels.add(made);
    const focusChanged = () => this.#context.sessions.panelFocused(made.target.uri, panel.active);
    panel.onDidChangeViewState(() => {
      focusChanged();
      this.#remember();
    });
    if (panel.active) focusChanged();
    this.#remember();
  }

  /** By title, the one thing of ours that VS Code hands back with a restored panel. */
  #remember(): void {
    const targets = Object.fromEntries([...this.#panels].map((panel) => [panel.title, panel.target]));
    void this.#memory.update(targetsKey, targets);
  }
}
