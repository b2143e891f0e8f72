import * as vscode from 'vscode';
import { parseDatasetLine } from '../../core/tasks/dataset.ts';
import type { DatasetRowView, DatasetSource, DatasetSummary, RowsQuestion } from '../../shared/datasetView.ts';
import { isCancelled, MechanistError } from '../../shared/errors.ts';
import type { EnginePort } from '../engineClient.ts';
import { folderOf } from '../files.ts';
import type { ModelChoice, ModelDirectory } from '../modelDirectory.ts';
import { readPromptSettings } from '../settings.ts';

/** Files that may be datasets; whether one is, its first line says. */
export const datasetSelector: vscode.DocumentSelector = { pattern: '**/*.jsonl' };
/** Characters of a line that are looked at to tell a dataset from other files. */
const GLANCE = 4000;
/** A longer text is read from its file, once it is saved. UTF-16 code units. */
const LONGEST_EDITED = 4e6;

/** Whether a file is a dataset of Mechanist: it begins with a header, or with a row that has a clean prompt. */
export function isDataset(document: vscode.TextDocument): boolean {
  if (vscode.languages.match(datasetSelector, document) === 0) return false;
  for (let line = 0; line < Math.min(document.lineCount, 5); line++) {
    const text = document.lineAt(line).text.slice(0, GLANCE);
    if (text.trim() !== '') return /^\uFEFF?\s*\{\s*"dataset"\s*:|^\uFEFF?\s*\{.*"clean"\s*:\s*"/.test(text);
  }
  return false;
}

/** What is known of an open dataset. */
export interface DatasetState {
  /** `stale`: edited, and too long to be sent: saved, it is checked. */
  readonly status: 'checking' | 'ready' | 'stale' | 'failed';
  /** Of the text as it was when it was last checked. */
  readonly summary: DatasetSummary | null;
  /** Null until it is known. */
  readonly model: ModelChoice | null;
  readonly error: string | null;
}

interface Watched {
  state: DatasetState;
  timer: ReturnType<typeof setTimeout> | undefined;
  running: AbortController | null;
}

/** The open datasets, checked by the engine after each edit. */
export class DatasetDocuments implements vscode.Disposable {
  readonly #port: EnginePort;
  readonly #models: ModelDirectory;
  readonly #watched = new Map<vscode.TextDocument, Watched>();
  readonly #changed = new vscode.EventEmitter<vscode.TextDocument>();
  readonly #closed = new vscode.EventEmitter<vscode.TextDocument>();
  readonly #listening: readonly vscode.Disposable[];

  constructor(port: EnginePort, models: ModelDirectory) {
    this.#port = port;
    this.#models = models;
    const listed = models.onDidChange(() => this.#checkAll());
    this.#listening = [
      vscode.workspace.onDidOpenTextDocument((document) => this.#edited(document, 0)),
      vscode.workspace.onDidSaveTextDocument((document) => this.#edited(document, 0)),
      vscode.workspace.onDidChangeTextDocument(({ document, contentChanges }) => {
        if (contentChanges.length > 0) this.#edited(document, readPromptSettings(document).updateDelayMs);
      }),
      vscode.workspace.onDidCloseTextDocument((document) => this.#forget(document)),
      vscode.workspace.onDidChangeConfiguration((event) => {
        if (event.affectsConfiguration('mechanist.model')) this.#checkAll();
      }),
      { dispose: () => listed.dispose() },
    ];
    for (const document of vscode.workspace.textDocuments) this.#edited(document, 0);
  }

  /** What is known of a file has changed. */
  get onDidChange(): vscode.Event<vscode.TextDocument> {
    return this.#changed.event;
  }

  /** A file was closed, or is no dataset any more. */
  get onDidClose(): vscode.Event<vscode.TextDocument> {
    return this.#closed.event;
  }

  state(document: vscode.TextDocument): DatasetState | null {
    return this.#watched.get(document)?.state ?? null;
  }

  /** Rows of a file as it was last checked; null when it is not. @throws MechanistError of the engine */
  async rows(document: vscode.TextDocument, question: RowsQuestion): Promise<readonly DatasetRowView[] | null> {
    const key = this.state(document)?.summary?.key;
    if (key === undefined) return null;
    const rows = await this.#port.request('dataset.rows', { key, question });
    // An engine that was started again has read nothing yet.
    if (rows === null) this.#edited(document, 0);
    return rows;
  }

  dispose(): void {
    for (const document of [...this.#watched.keys()]) this.#forget(document);
    vscode.Disposable.from(...this.#listening, this.#changed, this.#closed).dispose();
  }

  #checkAll(): void {
    for (const document of this.#watched.keys()) this.#edited(document, 0);
  }

  #forget(document: vscode.TextDocument): void {
    const watched = this.#watched.get(document);
    if (watched === undefined) return;
    globalThis.clearTimeout(watched.timer);
    watched.running?.abort();
    this.#watched.delete(document);
    this.#closed.fire(document);
  }

  #edited(document: vscode.TextDocument, delayMs: number): void {
    if (document.isClosed || !isDataset(document)) {
      this.#forget(document);
      return;
    }
    const fresh: DatasetState = { status: 'checking', summary: null, model: null, error: null };
    const watched = this.#watched.get(document) ?? { state: fresh, timer: undefined, running: null };
    this.#watched.set(document, watched);
    globalThis.clearTimeout(watched.timer);
    watched.running?.abort();
    watched.timer = globalThis.setTimeout(() => void this.#check(document, watched), delayMs);
  }

  #show(document: vscode.TextDocument, watched: Watched, change: Partial<DatasetState>): void {
    watched.state = { ...watched.state, ...change };
    if (this.#watched.get(document) === watched) this.#changed.fire(document);
  }

  async #check(document: vscode.TextDocument, watched: Watched): Promise<void> {
    const running = new AbortController();
    watched.running = running;
    const asFile = document.uri.scheme === 'file' && !document.isDirty;
    const text = asFile ? undefined : document.getText();
    if (text !== undefined && text.length > LONGEST_EDITED) {
      this.#show(document, watched, { status: 'stale' });
      return;
    }
    this.#show(document, watched, { status: 'checking' });
    try {
      const model = await this.#choose(document);
      const source: DatasetSource = {
        model: model.kind === 'use' ? model.ref : null,
        path: document.uri.scheme === 'file' ? document.uri.fsPath : null,
        ...(text !== undefined && { text }),
      };
      const summary = await this.#port.request('dataset.check', source, { signal: running.signal });
      if (!running.signal.aborted) this.#show(document, watched, { status: 'ready', summary, model, error: null });
    } catch (error) {
      if (isCancelled(error) || running.signal.aborted) return;
      const why = error instanceof MechanistError ? error.message : 'Something unexpected went wrong; see the log.';
      this.#show(document, watched, { status: 'failed', error: why });
    }
  }

  async #choose(document: vscode.TextDocument): Promise<ModelChoice> {
    const named = parseDatasetLine(document.lineAt(0).text, 0).header?.model ?? readPromptSettings(document).model;
    // No model stands in: another tokenizer would find fault with every row.
    return await this.#models.choose(named, '', folderOf(document));
  }
}
