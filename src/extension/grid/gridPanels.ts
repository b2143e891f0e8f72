import { basename } from 'node:path';
import * as vscode from 'vscode';
import { gridPanelType } from '../../shared/contributions.ts';
import { MechanistError } from '../../shared/errors.ts';
import type { GridRequest } from '../../shared/gridDocument.ts';
import type { GridPlace } from '../../shared/gridPanelProtocol.ts';
import type { PromptSession } from '../promptLanguage/promptSession.ts';
import type { PromptSessions } from '../promptLanguage/promptSessions.ts';
import { panelRoots } from '../trace/panelHtml.ts';
import { type GridContext, GridPanel } from './gridPanel.ts';
import { type Sweep, sweepName, sweepRequest } from './sweep.ts';

/** A sweep of a prompt file that is to be run, and what is outlined in it. */
export interface SweepRun {
  /** The prompt file, as `vscode.Uri.toString()`. */
  readonly uri: string;
  readonly sweep: Sweep;
  readonly request: GridRequest;
  readonly marked: readonly GridPlace[];
}

/** Heat-map panels of sweeps that were started here: one for each prompt file and kind of sweep. */
export class GridPanels implements vscode.Disposable {
  readonly #context: GridContext;
  readonly #sessions: PromptSessions;
  readonly #panels = new Map<string, { readonly panel: GridPanel; run: SweepRun }>();
  readonly #listening: vscode.Disposable;

  constructor(context: GridContext, sessions: PromptSessions) {
    this.#context = context;
    this.#sessions = sessions;
    this.#listening = sessions.onDidChange(({ document, session }) => this.#fileChanged(document, session));
  }

  dispose(): void {
    this.#listening.dispose();
  }

  /** Runs a sweep in the panel of its kind, which is opened beside the editor if need be. Does not wait for its end. */
  show(run: SweepRun): void {
    const key = `${run.uri} ${sweepName(run.request)}`;
    const open = this.#panels.get(key);
    if (open) {
      open.run = run;
      open.panel.reveal();
      this.#start(open.panel, run);
      return;
    }
    const panel = this.#create(key, run);
    this.#panels.set(key, { panel, run });
    this.#start(panel, run);
  }

  #start(panel: GridPanel, { request, marked }: SweepRun): void {
    panel.model.update({ marked });
    void this.#context.messages.guard(() => panel.model.run(request));
  }

  #create(key: string, run: SweepRun): GridPanel {
    const uri = vscode.Uri.parse(run.uri, true);
    const file = basename(uri.path);
    const title = `${file}: ${sweepName(run.request).replaceAll('.', ' ')}`;
    const place = { viewColumn: vscode.ViewColumn.Beside, preserveFocus: true };
    const view = vscode.window.createWebviewPanel(gridPanelType, title, place, {
      enableScripts: true,
      enableFindWidget: true,
      retainContextWhenHidden: false,
      localResourceRoots: panelRoots(this.#context.extensionUri),
    });
    view.onDidDispose(() => this.#panels.delete(key));
    return new GridPanel(this.#context, view, title, {
      uri,
      runAgain: () => this.#runAgain(key),
      openItem: (item) => this.#openItem(key, item),
    });
  }

  /** What the prompt file asks now, with the same choices. */
  #requestNow({ sweep, request }: SweepRun, session: PromptSession): GridRequest {
    const model = session.choice?.kind === 'use' ? session.choice.ref : request.model;
    return sweepRequest(session.file, sweep, model);
  }

  async #runAgain(key: string): Promise<void> {
    const open = this.#panels.get(key);
    const found = open && (await this.#sessions.open(open.run));
    if (!open || !found) throw new MechanistError('bad-input', 'The prompt file could not be opened.');
    if (found.session.isStale) found.session.refresh();
    await found.session.settled();
    open.run = { ...open.run, request: this.#requestNow(open.run, found.session) };
    await open.panel.model.run(open.run.request);
  }

  async #openItem(key: string, item: number): Promise<void> {
    const open = this.#panels.get(key);
    const shown = open?.panel.model.state.document?.items[item];
    const found = open && (await this.#sessions.open(open.run));
    const prompt = found?.session.file.prompts.find(({ text }) => text === shown?.prompt);
    if (!found || !prompt) throw new MechanistError('bad-input', 'This prompt is no longer in the file.');
    const { document } = found;
    const selection = new vscode.Range(document.positionAt(prompt.start), document.positionAt(prompt.end));
    await vscode.window.showTextDocument(document, { viewColumn: vscode.ViewColumn.One, selection });
  }

  /** A result is stale once its file asks something else. */
  #fileChanged(document: vscode.TextDocument, session: PromptSession): void {
    const uri = document.uri.toString();
    for (const { panel, run } of this.#panels.values()) {
      if (run.uri !== uri || session.isStale) continue;
      const stale = this.#asksElse(run, session);
      if (stale !== panel.model.state.stale) panel.model.update({ stale });
    }
  }

  #asksElse(run: SweepRun, session: PromptSession): boolean {
    try {
      return JSON.stringify(this.#requestNow(run, session)) !== JSON.stringify(run.request);
    } catch (error) {
      if (error instanceof MechanistError) return true;
      throw error;
    }
  }
}
