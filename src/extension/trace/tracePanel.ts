import { basename } from 'node:path';
import * as vscode from 'vscode';
import { type PromptSection, promptIndexAt } from '../../core/tasks/promptFile.ts';
import type { Commands, PromptTarget } from '../../shared/contributions.ts';
import type { TraceRequest } from '../../shared/engineProtocol.ts';
import type { AttributionMethod } from '../../shared/traceDocument.ts';
import type { FromTracePanel, ToTracePanel } from '../../shared/tracePanelProtocol.ts';
import type { EnginePort } from '../engineClient.ts';
import { tokenAt } from '../hover/tokenHover.ts';
import { propagationOf } from '../promptLanguage/promptRequests.ts';
import type { PromptSession } from '../promptLanguage/promptSession.ts';
import type { PromptSessions } from '../promptLanguage/promptSessions.ts';
import { moveShown } from '../promptLanguage/shownTokens.ts';
import { traceKey } from '../promptLanguage/traceStore.ts';
import type { Messages } from '../runWithProgress.ts';
import { panelHtml, panelRoots } from './panelHtml.ts';
import { saveExport } from './saveExport.ts';
import { TraceModel } from './traceModel.ts';

/** What panels work with. */
export interface PanelContext {
  readonly extensionUri: vscode.Uri;
  readonly port: EnginePort;
  readonly sessions: PromptSessions;
  readonly messages: Messages;
  readonly log: (line: string) => void;
}

interface Place {
  readonly document: vscode.TextDocument;
  readonly session: PromptSession;
  readonly prompt: PromptSection;
  readonly index: number;
}

/** One trace panel: the prompt it belongs to, its webview, and the selection it shares with the editor. */
export class TracePanel {
  readonly #context: PanelContext;
  readonly #panel: vscode.WebviewPanel;
  readonly #model: TraceModel;
  readonly #disposables: vscode.Disposable[] = [];
  #target: PromptTarget;
  /** Start of the prompt in the document, moved along with edits; null until the file has been read. */
  #anchor: number | null = null;
  #method: AttributionMethod | null = null;

  constructor(context: PanelContext, panel: vscode.WebviewPanel, target: PromptTarget, onClose: () => void) {
    this.#context = context;
    this.#panel = panel;
    this.#target = target;
    const post = (state: ToTracePanel['state']) => void panel.webview.postMessage({ type: 'state', state });
    this.#model = new TraceModel(context.port, panel.title, post, context.log);
    panel.webview.options = { enableScripts: true, localResourceRoots: panelRoots(context.extensionUri) };
    this.#disposables.push(
      panel.webview.onDidReceiveMessage((message: FromTracePanel) => {
        void context.messages.guard(() => this.#received(message));
      }),
      vscode.workspace.onDidChangeTextDocument((event) => this.#edited(event)),
      vscode.window.onDidChangeTextEditorSelection(({ textEditor, selections }) => {
        this.#editorSelected(textEditor, selections[0]);
      }),
      context.sessions.onDidChange(({ document }) => {
        if (document.uri.toString() === this.#target.uri) void this.#follow();
      }),
    );
    panel.onDidDispose(() => {
      for (const disposable of this.#disposables) disposable.dispose();
      this.#model.dispose();
      onClose();
    });
    panel.webview.html = panelHtml(panel.webview, context.extensionUri, 'trace', panel.title);
    void this.show(target, false);
  }

  get target(): PromptTarget {
    return this.#target;
  }

  get title(): string {
    return this.#panel.title;
  }

  /** Turns to a prompt (and a token of it). */
  async show(target: PromptTarget, reveal = true): Promise<void> {
    const other = target.prompt !== this.#target.prompt || target.uri !== this.#target.uri;
    this.#target = target;
    if (other) this.#model.update({ selection: { token: null, component: this.#model.state.selection.component } });
    this.#anchor = null;
    if (reveal) this.#panel.reveal(undefined, true);
    await this.#follow();
    if (target.token !== undefined) this.#model.select({ token: target.token });
  }

  /** Document, session and prompt as they are now; says in the panel what is missing. */
  async #place(): Promise<Place | null> {
    try {
      const open = await this.#context.sessions.open(this.#target);
      if (!open) throw new Error('not a prompt file');
      await open.session.settled();
      const { prompts } = open.session.file;
      const index = this.#anchor === null ? this.#target.prompt : promptIndexAt(open.session.file, this.#anchor);
      const prompt = prompts[index];
      if (!prompt) {
        this.#model.refuse('This prompt is no longer in the file. Put the cursor into another one and trace that.');
        return null;
      }
      this.#anchor = prompt.start;
      this.#target = { uri: this.#target.uri, prompt: index };
      return { ...open, prompt, index };
    } catch {
      this.#model.refuse('The prompt file could not be opened. Open it and trace the prompt again.');
      return null;
    }
  }

  #question(session: PromptSession, index: number): TraceRequest | null {
    const request = session.request(index);
    const method = this.#method;
    if (!request || !method) return request;
    const { path, norm, view, ...rest } = request;
    return { ...rest, method, ...(method === 'observable-propagation' && propagationOf(session.file)) };
  }

  /** Traces the prompt again if what it asks has changed. */
  async #follow(again = false): Promise<void> {
    const place = await this.#place();
    if (!place || place.session.isStale) return;
    const { document, session, prompt, index } = place;
    const title = `${basename(document.uri.path)}:${document.positionAt(prompt.start).line + 1}`;
    this.#panel.title = `Trace: ${title}`;
    if (this.#model.state.title !== title) this.#model.update({ title });
    const request = this.#question(session, index);
    if (!request) {
      this.#model.refuse(this.#whyNot(session));
      return;
    }
    const shown = this.#model.request;
    const same = shown !== null && traceKey(shown) === traceKey(request);
    if (same && !again) {
      // An edit that was taken back, or one of another prompt.
      if (this.#model.state.status === 'stale' && this.#model.state.document?.prompt === request.prompt) {
        this.#model.update({ status: 'ready' });
      }
      return;
    }
    if (!again && this.#model.hasDeclined(request)) return;
    await this.#model.run(session, request);
  }

  #whyNot(session: PromptSession): string {
    const problem = session.problems().find((p) => p.severity === 'error');
    if (problem) return `${problem.message} The prompt file underlines the place.`;
    if (session.failure) return session.failure.message;
    return 'There is no model for this prompt. Run Mechanist: Choose Model.';
  }

  async #received(message: FromTracePanel): Promise<void> {
    switch (message.type) {
      case 'ready':
        this.#model.repost();
        break;
      case 'selectToken':
        await this.#tokenSelected(message.position);
        break;
      case 'selectComponent':
        this.#model.select({ component: message.component });
        break;
      case 'ablate': {
        const heads = [{ row: message.layer, column: message.head }];
        const { uri, prompt } = this.#target;
        const sweep: Commands['mechanist.ablate'] = {
          uri,
          prompt,
          prompts: 'one',
          sites: 'heads',
          mode: 'zero',
          method: 'exact',
          metric: 'usual',
          heads,
        };
        await vscode.commands.executeCommand('mechanist.ablate', sweep);
        break;
      }
      case 'changeMethod':
        this.#method = message.method;
        await this.#follow(true);
        break;
      case 'runAgain':
        await this.#follow(true);
        break;
      case 'cancel':
        this.#model.cancelled();
        break;
      case 'showLog':
        this.#context.messages.showLog();
        break;
      case 'copy':
        await vscode.env.clipboard.writeText(message.text);
        break;
      case 'export':
        await saveExport(message, vscode.Uri.parse(this.#target.uri));
        break;
    }
  }

  /** Panel → editor: the token's range is revealed and selected; focus stays in the panel. */
  async #tokenSelected(position: number): Promise<void> {
    this.#model.select({ token: position });
    const place = await this.#place();
    const token = this.#model.state.document?.tokens[position];
    if (!place || !token || this.#model.state.document?.prompt !== place.prompt.text) return;
    const { document, prompt } = place;
    const start = document.positionAt(prompt.toOffset(token.start));
    const range = new vscode.Range(start, document.positionAt(prompt.toOffset(token.end)));
    for (const editor of vscode.window.visibleTextEditors) {
      if (editor.document !== document) continue;
      editor.selection = new vscode.Selection(range.start, range.end);
      editor.revealRange(range, vscode.TextEditorRevealType.InCenterIfOutsideViewport);
    }
  }

  /** Editor → panel: the token under the cursor. Our own selection arrives here as well and changes nothing. */
  #editorSelected(editor: vscode.TextEditor, selection: vscode.Selection | undefined): void {
    if (!selection || editor.document.uri.toString() !== this.#target.uri || this.#anchor === null) return;
    const session = this.#context.sessions.get(editor.document);
    const prompt = session?.file.prompts[this.#target.prompt];
    const trace = this.#model.state.document;
    if (!session || session.isStale || !prompt || trace?.prompt !== prompt.text) return;
    const offset = editor.document.offsetAt(selection.start);
    if (offset < prompt.start || offset > prompt.end) return;
    const inText = prompt.fromOffset(offset);
    const found = tokenAt(trace.tokens, inText);
    const token = found < 0 && inText === prompt.text.length ? trace.tokens.length - 1 : found;
    if (token >= 0 && token !== this.#model.state.selection.token) this.#model.select({ token });
  }

  #edited({ document, contentChanges }: vscode.TextDocumentChangeEvent): void {
    if (document.uri.toString() !== this.#target.uri || contentChanges.length === 0) return;
    if (this.#anchor !== null) {
      const changes = contentChanges.map((c) => ({
        offset: c.rangeOffset,
        length: c.rangeLength,
        inserted: c.text.length,
      }));
      const [moved] = moveShown([{ start: this.#anchor, end: this.#anchor, tokens: [] }], changes);
      this.#anchor = moved?.start ?? this.#anchor;
    }
    if (this.#model.state.status === 'ready') this.#model.update({ status: 'stale' });
  }
}
