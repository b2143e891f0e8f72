import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as vscode from 'vscode';
import { ExperimentParser } from '../../core/tasks/experiment/experimentFile.ts';
import { vocabularyOf } from '../../core/tasks/experiment/experimentSchema.ts';
import type { ExperimentFile, StepVocabulary } from '../../core/tasks/experiment/experimentTypes.ts';
import { withSharedObservables } from '../../core/tasks/experiment/observableRefs.ts';
import { observablesSetting } from '../../core/tasks/namedObservables.ts';
import { readPromptSettings } from '../settings.ts';

/** Files that are experiments, whatever their language is called. */
export const experimentSelector: vscode.DocumentSelector = { pattern: '**/*.experiment.{yaml,yml}' };

export function isExperiment(document: vscode.TextDocument): boolean {
  return vscode.languages.match(experimentSelector, document) > 0;
}

/** JSON Schema as far as completion and documentation read it. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** The open experiment files, read anew after each edit, when they are asked for. */
export class ExperimentDocuments implements vscode.Disposable {
  /** `media/schemas/experiment.schema.json`: the analyses that there are, with their parameters. */
  readonly schema: JsonSchema;
  readonly kinds: readonly StepVocabulary[];
  readonly #parser: ExperimentParser;
  #read = new WeakMap<vscode.TextDocument, { readonly version: number; readonly file: ExperimentFile }>();
  readonly #changed = new vscode.EventEmitter<vscode.TextDocument>();
  readonly #closed = new vscode.EventEmitter<vscode.TextDocument>();
  readonly #listening: readonly vscode.Disposable[];

  constructor(extensionPath: string) {
    this.schema = JSON.parse(
      readFileSync(join(extensionPath, 'media', 'schemas', 'experiment.schema.json'), 'utf8'),
    ) as JsonSchema;
    this.kinds = vocabularyOf(this.schema);
    this.#parser = new ExperimentParser(this.kinds);
    this.#listening = [
      vscode.workspace.onDidChangeConfiguration((event) => this.#configured(event)),
      vscode.workspace.onDidOpenTextDocument((document) => this.#fire(document)),
      vscode.workspace.onDidChangeTextDocument(({ document, contentChanges }) => {
        if (contentChanges.length > 0) this.#fire(document);
      }),
      vscode.workspace.onDidCloseTextDocument((document) => {
        if (isExperiment(document)) this.#closed.fire(document);
      }),
    ];
  }

  /** A file was opened or edited, or what it names in the settings was. */
  get onDidChange(): vscode.Event<vscode.TextDocument> {
    return this.#changed.event;
  }

  get onDidClose(): vscode.Event<vscode.TextDocument> {
    return this.#closed.event;
  }

  get open(): readonly vscode.TextDocument[] {
    return vscode.workspace.textDocuments.filter((document) => !document.isClosed && isExperiment(document));
  }

  file(document: vscode.TextDocument): ExperimentFile {
    const known = this.#read.get(document);
    if (known?.version === document.version) return known.file;
    const shared = readPromptSettings(document).observables.specs;
    const file = withSharedObservables(this.#parser.parse(document.getText()), shared);
    this.#read.set(document, { version: document.version, file });
    return file;
  }

  dispose(): void {
    vscode.Disposable.from(...this.#listening, this.#changed, this.#closed).dispose();
  }

  /** Files may name observables of the settings. */
  #configured(event: vscode.ConfigurationChangeEvent): void {
    if (!event.affectsConfiguration(observablesSetting)) return;
    this.#read = new WeakMap();
    for (const document of this.open) this.#fire(document);
  }

  #fire(document: vscode.TextDocument): void {
    if (isExperiment(document)) this.#changed.fire(document);
  }
}
