import * as vscode from 'vscode';
import type { ExperimentProblem } from '../../core/tasks/experiment/experimentTypes.ts';
import { expectedRange, isFailure } from '../../shared/experimentRun.ts';
import { signed } from '../../shared/format.ts';
import { folderOf } from '../files.ts';
import { describeAbsent, type ModelDirectory } from '../modelDirectory.ts';
import type { FileProblem } from '../promptLanguage/promptRequests.ts';
import { readPromptSettings } from '../settings.ts';
import type { ExperimentDocuments } from './experimentDocuments.ts';
import type { ExperimentRuns } from './experimentRuns.ts';
import { observableProblems } from './experimentTerms.ts';
import { type ShownCheck, shownChecks } from './stepStates.ts';

/** `+2.41, expected −7.3 … −6.3 (methods §9)` */
function checkText({ check }: ShownCheck): string {
  const value = check.value === null ? 'none' : signed(check.value);
  return `${value}, expected ${expectedRange(check)}${check.source === '' ? '' : ` (${check.source})`}`;
}

function diagnosticAt(
  document: vscode.TextDocument,
  { start, end }: { readonly start: number; readonly end: number },
  message: string,
  severity: vscode.DiagnosticSeverity,
  code: string,
): vscode.Diagnostic {
  const range = new vscode.Range(document.positionAt(start), document.positionAt(end));
  const diagnostic = new vscode.Diagnostic(range, message, severity);
  diagnostic.source = 'mechanist';
  diagnostic.code = code;
  return diagnostic;
}

/** Squiggles of experiment files: mistakes at the word, models that nobody knows, numbers that are not as expected. */
export class ExperimentDiagnostics implements vscode.Disposable, vscode.CodeActionProvider, vscode.InlayHintsProvider {
  static readonly kinds = [vscode.CodeActionKind.QuickFix];
  readonly #collection = vscode.languages.createDiagnosticCollection('mechanist experiments');
  readonly #hintsChanged = new vscode.EventEmitter<void>();
  readonly #listening: readonly vscode.Disposable[];
  /** Where the model is named that cannot be used, by document. */
  readonly #models = new Map<string, ExperimentProblem>();
  /** What is wrong with observables, for one version of a document. */
  readonly #terms = new Map<string, { readonly version: number; readonly problems: readonly FileProblem[] }>();

  constructor(
    private readonly documents: ExperimentDocuments,
    private readonly runs: ExperimentRuns,
    private readonly models: ModelDirectory,
  ) {
    const listed = models.onDidChange(() => {
      for (const document of documents.open) void this.#checkModel(document);
    });
    this.#listening = [
      documents.onDidChange((document) => this.#edited(document)),
      documents.onDidClose(({ uri }) => this.#closed(uri)),
      runs.onDidChange((document) => this.#publish(document)),
      { dispose: () => listed.dispose() },
    ];
    for (const document of documents.open) this.#edited(document);
  }

  get onDidChangeInlayHints(): vscode.Event<void> {
    return this.#hintsChanged.event;
  }

  /** `✓ −6.72` behind an expectation that holds, and why one does not count. */
  provideInlayHints(document: vscode.TextDocument, range: vscode.Range): vscode.InlayHint[] {
    return this.#checks(document).flatMap((shown) => {
      const { check, expectation } = shown;
      const position = document.positionAt(expectation.end);
      if (!range.contains(position) || (check.note === undefined && !check.passed)) return [];
      const value = check.value === null ? 'none' : signed(check.value);
      const text = check.note === undefined ? `✓ ${value}` : `${value}, not counted`;
      const hint = new vscode.InlayHint(position, text);
      hint.paddingLeft = true;
      hint.tooltip = check.note === undefined ? checkText(shown) : `${checkText(shown)}; ${check.note}`;
      return [hint];
    });
  }

  provideCodeActions(document: vscode.TextDocument, range: vscode.Range): vscode.CodeAction[] {
    return this.#problems(document).flatMap(({ fix, start, end }) => {
      const place = new vscode.Range(document.positionAt(start), document.positionAt(end));
      if (!fix || place.intersection(range) === undefined) return [];
      const action = new vscode.CodeAction(fix.title, vscode.CodeActionKind.QuickFix);
      action.edit = new vscode.WorkspaceEdit();
      const word = new vscode.Range(document.positionAt(fix.start), document.positionAt(fix.end));
      action.edit.replace(document.uri, word, fix.newText);
      action.isPreferred = true;
      return [action];
    });
  }

  dispose(): void {
    vscode.Disposable.from(...this.#listening, this.#collection, this.#hintsChanged).dispose();
  }

  #edited(document: vscode.TextDocument): void {
    this.#publish(document);
    void this.#checkModel(document);
  }

  #closed(uri: vscode.Uri): void {
    this.#collection.delete(uri);
    this.#models.delete(uri.toString());
    this.#terms.delete(uri.toString());
  }

  #problems(document: vscode.TextDocument): readonly (ExperimentProblem | FileProblem)[] {
    const key = document.uri.toString();
    const model = this.#models.get(key);
    const terms = this.#terms.get(key);
    const own = this.documents.file(document).model;
    const { problems } = this.documents.file(document);
    const named = model && own?.start === model.start && own.end === model.end ? [model] : [];
    return [...problems, ...named, ...(terms?.version === document.version ? terms.problems : [])];
  }

  #checks(document: vscode.TextDocument): readonly ShownCheck[] {
    const file = this.documents.file(document);
    return shownChecks(file, (step) => this.runs.state(document, file, step));
  }

  #publish(document: vscode.TextDocument): void {
    if (document.isClosed) return;
    const { Error: error, Warning: warning } = vscode.DiagnosticSeverity;
    const problems = this.#problems(document).map((problem) =>
      diagnosticAt(document, problem, problem.message, problem.severity === 'error' ? error : warning, problem.code),
    );
    const failed = this.#checks(document)
      .filter(({ check }) => isFailure(check))
      .map((shown) =>
        diagnosticAt(document, shown.expectation, `This is ${checkText(shown)}.`, warning, 'expectation'),
      );
    this.#collection.set(document.uri, [...problems, ...this.#refused(document), ...failed]);
    this.#hintsChanged.fire();
  }

  /** Steps that could not be run, with the reason, in the line where they begin. */
  #refused(document: vscode.TextDocument): vscode.Diagnostic[] {
    const file = this.documents.file(document);
    return file.steps.flatMap((step) => {
      const state = this.runs.state(document, file, step);
      if (state.kind !== 'failed') return [];
      const { end } = document.lineAt(document.positionAt(step.start)).range;
      const range = { start: step.start, end: Math.min(step.end, document.offsetAt(end)) };
      return [diagnosticAt(document, range, state.message, vscode.DiagnosticSeverity.Error, 'step-failed')];
    });
  }

  async #checkModel(document: vscode.TextDocument): Promise<void> {
    const { model } = this.documents.file(document);
    const key = document.uri.toString();
    if (model === undefined) return;
    // Without an engine nothing is known, and a run will say so.
    const choice = await this.models.choose(model.value, '', folderOf(document)).catch(() => null);
    if (this.documents.file(document).model?.value !== model.value) return;
    if (choice === null || choice.kind === 'use') this.#models.delete(key);
    else {
      const { absent } = choice;
      const { start, end } = model;
      const near = absent.nearest;
      const severity = absent.why === 'remote' ? 'warning' : 'error';
      const message = `${describeAbsent(absent)}.${near ? ` Did you mean ${near}?` : ''}`;
      const fix = near ? { title: `Use ${near}`, start, end, newText: near } : undefined;
      this.#models.set(key, { start, end, severity, code: 'unknown-model', message, ...(fix && { fix }) });
    }
    this.#publish(document);
    await this.#checkObservables(document, choice?.kind === 'use' ? choice.ref : null);
  }

  async #checkObservables(document: vscode.TextDocument, model: string | null): Promise<void> {
    const { version } = document;
    const { observables } = readPromptSettings(document);
    const file = this.documents.file(document);
    // Without an engine a run will say it.
    const problems = await observableProblems(file, model, observables, this.models).catch(() => []);
    if (document.isClosed || document.version !== version) return;
    this.#terms.set(document.uri.toString(), { version, problems });
    this.#publish(document);
  }
}
