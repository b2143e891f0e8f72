import { basename } from 'node:path';
import * as vscode from 'vscode';
import { steerPanelType } from '../../shared/contributions.ts';
import type { SteerDocument } from '../../shared/steerDocument.ts';
import { steerFigures } from '../../shared/steerFigures.ts';
import { panelRoots } from '../trace/panelHtml.ts';
import { type FiguresContext, FiguresPanel } from './figuresPanel.ts';

/** Panels of steerings: one for each prompt file; the next steering takes the place of the last. */
export class SteerPanels {
  readonly #context: FiguresContext;
  readonly #panels = new Map<string, { readonly view: vscode.WebviewPanel; readonly panel: FiguresPanel }>();

  constructor(context: FiguresContext) {
    this.#context = context;
  }

  /** Shows a steering beside its prompt file. */
  show(uri: vscode.Uri, document: SteerDocument): void {
    const { view, panel } = this.#panels.get(uri.toString()) ?? this.#create(uri);
    panel.show({ document: steerFigures(document) });
    view.reveal(undefined, true);
  }

  #create(uri: vscode.Uri): { readonly view: vscode.WebviewPanel; readonly panel: FiguresPanel } {
    const title = `${basename(uri.path)}: steer`;
    const place = { viewColumn: vscode.ViewColumn.Beside, preserveFocus: true };
    const view = vscode.window.createWebviewPanel(steerPanelType, title, place, {
      enableScripts: true,
      enableFindWidget: true,
      retainContextWhenHidden: false,
      localResourceRoots: panelRoots(this.#context.extensionUri),
    });
    const made = { view, panel: new FiguresPanel(this.#context, view, title, uri) };
    this.#panels.set(uri.toString(), made);
    view.onDidDispose(() => this.#panels.delete(uri.toString()));
    return made;
  }
}
