import * as vscode from 'vscode';
import { type PromptTarget, promptLanguageId } from '../../shared/contributions.ts';
import type { EnginePort } from '../engineClient.ts';
import { folderOf } from '../files.ts';
import type { ModelDirectory } from '../modelDirectory.ts';
import { readPromptSettings } from '../settings.ts';
import { PromptSession, type SessionSource } from './promptSession.ts';

function sourceOf(document: vscode.TextDocument): SessionSource {
  return {
    text: () => document.getText(),
    folder: folderOf(document),
    settings: () => readPromptSettings(document),
    visible: () =>
      vscode.window.visibleTextEditors
        .filter((editor) => editor.document === document)
        .flatMap((editor) => editor.visibleRanges)
        .map((range) => ({ start: document.offsetAt(range.start), end: document.offsetAt(range.end) })),
  };
}

function isPromptDocument(document: vscode.TextDocument): boolean {
  return document.languageId === promptLanguageId;
}

/** The sessions of all open prompt files; a session lives as long as its document is open. */
export class PromptSessions implements vscode.Disposable {
  readonly #port: EnginePort;
  readonly #models: ModelDirectory;
  readonly #sessions = new Map<vscode.TextDocument, PromptSession>();
  readonly #changed = new vscode.EventEmitter<{ document: vscode.TextDocument; session: PromptSession }>();
  readonly #panelChanged = new vscode.EventEmitter<void>();
  readonly #disposables: vscode.Disposable[];
  #panelUri: string | null = null;

  constructor(port: EnginePort, models: ModelDirectory) {
    this.#port = port;
    this.#models = models;
    this.#disposables = [
      vscode.workspace.onDidChangeTextDocument((event) => this.#edited(event)),
      vscode.workspace.onDidCloseTextDocument((document) => this.#closed(document)),
      vscode.window.onDidChangeVisibleTextEditors((editors) => this.#opened(editors)),
      vscode.window.onDidChangeTextEditorVisibleRanges(({ textEditor }) => {
        this.#sessions.get(textEditor.document)?.visibleChanged();
      }),
      vscode.workspace.onDidChangeConfiguration((event) => this.#settingsChanged(event)),
      models.onDidChange(() => this.#reloadAll()),
    ];
    this.#opened(vscode.window.visibleTextEditors);
  }

  /** Anything that can be seen of a session has changed. */
  get onDidChange(): vscode.Event<{ document: vscode.TextDocument; session: PromptSession }> {
    return this.#changed.event;
  }

  /** The focus has moved into a panel of another prompt file, or out of one. */
  get onDidChangePanel(): vscode.Event<void> {
    return this.#panelChanged.event;
  }

  /** The prompt file in use: that of the active editor, or of the panel that has the focus. */
  get activeDocument(): vscode.TextDocument | undefined {
    const editor = vscode.window.activeTextEditor;
    if (editor || this.#panelUri === null) return editor?.document;
    return [...this.#sessions.keys()].find((document) => document.uri.toString() === this.#panelUri);
  }

  /** A panel of a prompt file has been given the focus, or has lost it. */
  panelFocused(uri: string, focused: boolean): void {
    if (!focused && this.#panelUri !== uri) return;
    this.#panelUri = focused ? uri : null;
    this.#panelChanged.fire();
  }

  /** The session of a prompt file, started if need be; undefined for other documents. */
  get(document: vscode.TextDocument): PromptSession | undefined {
    if (!isPromptDocument(document) || document.isClosed) return undefined;
    const known = this.#sessions.get(document);
    if (known) return known;
    const session = new PromptSession(sourceOf(document), this.#port, this.#models);
    this.#sessions.set(document, session);
    session.onDidChange(() => this.#changed.fire({ document, session }));
    session.refresh();
    return session;
  }

  /** Document and session of a target, opened if need be. */
  async open(
    target: Pick<PromptTarget, 'uri'>,
  ): Promise<{ document: vscode.TextDocument; session: PromptSession } | null> {
    const document = await vscode.workspace.openTextDocument(vscode.Uri.parse(target.uri, true));
    const session = this.get(document);
    return session ? { document, session } : null;
  }

  dispose(): void {
    for (const disposable of this.#disposables) disposable.dispose();
    for (const session of this.#sessions.values()) session.dispose();
    this.#sessions.clear();
    this.#changed.dispose();
    this.#panelChanged.dispose();
  }

  #opened(editors: readonly vscode.TextEditor[]): void {
    for (const { document } of editors) this.get(document);
  }

  #edited({ document, contentChanges }: vscode.TextDocumentChangeEvent): void {
    if (contentChanges.length === 0) return;
    this.#sessions
      .get(document)
      ?.edited(contentChanges.map((c) => ({ offset: c.rangeOffset, length: c.rangeLength, inserted: c.text.length })));
  }

  #closed(document: vscode.TextDocument): void {
    this.#sessions.get(document)?.dispose();
    this.#sessions.delete(document);
  }

  #settingsChanged(event: vscode.ConfigurationChangeEvent): void {
    for (const [document, session] of this.#sessions) {
      if (event.affectsConfiguration('mechanist', document)) session.refresh();
    }
  }

  #reloadAll(): void {
    for (const session of this.#sessions.values()) session.reload();
  }
}
