import * as vscode from 'vscode';
import type { EnginePort } from '../engineClient.ts';
import type { ModelDirectory } from '../modelDirectory.ts';
import { ExperimentDiagnostics } from './experimentDiagnostics.ts';
import { type ExperimentDocuments, experimentSelector } from './experimentDocuments.ts';
import { ExperimentHelp } from './experimentHelp.ts';
import { ExperimentCodeLens } from './experimentLens.ts';
import type { ExperimentRuns } from './experimentRuns.ts';
import type { StepResults } from './stepResults.ts';

/** Everything that is seen in an experiment file. Its language stays what it is: YAML. */
export function registerExperimentLanguage(
  documents: ExperimentDocuments,
  results: StepResults,
  runs: ExperimentRuns,
  models: ModelDirectory,
  engine: EnginePort,
): vscode.Disposable {
  const { languages } = vscode;
  const lens = new ExperimentCodeLens(documents, runs);
  const diagnostics = new ExperimentDiagnostics(documents, runs, models);
  const help = new ExperimentHelp(documents, results, models, engine);
  const fixes = { providedCodeActionKinds: ExperimentDiagnostics.kinds };
  return vscode.Disposable.from(
    lens,
    diagnostics,
    languages.registerCodeLensProvider(experimentSelector, lens),
    languages.registerInlayHintsProvider(experimentSelector, diagnostics),
    languages.registerCodeActionsProvider(experimentSelector, diagnostics, fixes),
    languages.registerHoverProvider(experimentSelector, help),
    languages.registerCompletionItemProvider(experimentSelector, help, ':', ' ', '{', '[', ',', '"'),
  );
}
