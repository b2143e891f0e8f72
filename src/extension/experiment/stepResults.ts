import { stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import * as vscode from 'vscode';
import type { ExperimentFile } from '../../core/tasks/experiment/experimentTypes.ts';
import { resultsFolder, stepEvaluationName, stepResultName } from '../../shared/experimentRun.ts';
import type { FiguresDocument } from '../../shared/figures.ts';
import type { ExperimentDocuments } from './experimentDocuments.ts';
import type { StepResultFile } from './stepStates.ts';

/** What is on disk for one open experiment. */
export interface ResultsOnDisk {
  readonly steps: ReadonlyMap<string, StepResultFile>;
  readonly dataChangedAt: number | null;
}

const nothing: ResultsOnDisk = { steps: new Map(), dataChangedAt: null };

async function changedAt(path: string): Promise<number | null> {
  return await stat(path).then(
    ({ mtimeMs }) => mtimeMs,
    () => null,
  );
}

/** The result of a step; undefined where there is none, or it is no result. */
async function readResult(
  folder: string,
  step: string,
  known: StepResultFile | undefined,
): Promise<StepResultFile | undefined> {
  const path = join(folder, stepResultName(step));
  const writtenAt = await changedAt(path);
  if (writtenAt === null) return undefined;
  const hasEvaluation = (await changedAt(join(folder, stepEvaluationName(step)))) !== null;
  const hasCircuit = (await changedAt(join(folder, `${step}.circuit.json`))) !== null;
  if (known?.writtenAt === writtenAt) return { ...known, hasEvaluation, hasCircuit };
  try {
    const bytes = await vscode.workspace.fs.readFile(vscode.Uri.file(path));
    const value = JSON.parse(new TextDecoder().decode(bytes)) as FiguresDocument;
    if (value.kind !== 'figures') return undefined;
    const { complete, cells, request, values, provenance } = value;
    return { complete, cells, request, values, provenance, writtenAt, hasEvaluation, hasCircuit };
  } catch {
    // Somebody else's file, or one that is damaged: the next run replaces it.
    return undefined;
  }
}

/** Results of the open experiments, as they are on disk. */
export class StepResults implements vscode.Disposable {
  readonly #documents: ExperimentDocuments;
  readonly #known = new Map<string, ResultsOnDisk>();
  readonly #watchers = new Map<string, vscode.Disposable>();
  readonly #changed = new vscode.EventEmitter<vscode.TextDocument>();
  readonly #listening: readonly vscode.Disposable[];

  constructor(documents: ExperimentDocuments) {
    this.#documents = documents;
    this.#listening = [
      documents.onDidChange((document) => void this.refresh(document)),
      documents.onDidClose((document) => this.#forget(document)),
      vscode.window.onDidChangeActiveTextEditor((editor) => {
        if (editor && documents.open.includes(editor.document)) void this.refresh(editor.document);
      }),
    ];
    for (const document of documents.open) void this.refresh(document);
  }

  get onDidChange(): vscode.Event<vscode.TextDocument> {
    return this.#changed.event;
  }

  of(document: vscode.TextDocument): ResultsOnDisk {
    return this.#known.get(document.uri.toString()) ?? nothing;
  }

  /** Looks again at what is on disk. */
  async refresh(document: vscode.TextDocument): Promise<void> {
    if (document.uri.scheme !== 'file' || document.isClosed) return;
    const file = this.#documents.file(document);
    const key = document.uri.toString();
    this.#watch(document);
    const known = this.of(document);
    const found = await this.#read(document, file, known);
    this.#known.set(key, found);
    this.#changed.fire(document);
  }

  dispose(): void {
    vscode.Disposable.from(...this.#listening, ...this.#watchers.values(), this.#changed).dispose();
  }

  async #read(document: vscode.TextDocument, file: ExperimentFile, known: ResultsOnDisk): Promise<ResultsOnDisk> {
    const path = document.uri.fsPath;
    const steps = new Map<string, StepResultFile>();
    for (const { name } of file.steps) {
      const result = await readResult(resultsFolder(path), name, known.steps.get(name));
      if (result !== undefined) steps.set(name, result);
    }
    const data = file.data?.value.file;
    return { steps, dataChangedAt: data === undefined ? null : await changedAt(resolve(dirname(path), data)) };
  }

  #watch(document: vscode.TextDocument): void {
    const key = document.uri.toString();
    if (this.#watchers.has(key)) return;
    const folder = vscode.Uri.file(resultsFolder(document.uri.fsPath));
    const watcher = vscode.workspace.createFileSystemWatcher(new vscode.RelativePattern(folder, '*.json'));
    const look = () => void this.refresh(document);
    this.#watchers.set(
      key,
      vscode.Disposable.from(watcher, watcher.onDidChange(look), watcher.onDidCreate(look), watcher.onDidDelete(look)),
    );
  }

  #forget(document: vscode.TextDocument): void {
    const key = document.uri.toString();
    this.#watchers.get(key)?.dispose();
    this.#watchers.delete(key);
    this.#known.delete(key);
  }
}
