import { dirname } from 'node:path';
import * as vscode from 'vscode';
import type { ExperimentTarget } from '../../shared/contributions.ts';
import { MechanistError } from '../../shared/errors.ts';
import { resultsFolder, stepEvaluationName, stepResultName } from '../../shared/experimentRun.ts';
import { isExperiment } from '../experiment/experimentDocuments.ts';
import { describeAbsent } from '../modelDirectory.ts';
import type { CommandContext } from './commandContext.ts';
import { downloadModel } from './downloadModel.ts';

async function documentOf(given: ExperimentTarget | undefined): Promise<vscode.TextDocument> {
  const document =
    given === undefined
      ? vscode.window.activeTextEditor?.document
      : await vscode.workspace.openTextDocument(vscode.Uri.parse(given.uri, true));
  if (document && isExperiment(document)) return document;
  throw new MechanistError('bad-input', 'Open a file that ends in .experiment.yaml.');
}

/** Offers to download a model that is not here. False: it is not here still. */
async function haveModel(context: CommandContext, document: vscode.TextDocument): Promise<boolean> {
  const { experiments, models } = context;
  const name = experiments.documents.file(document).model?.value;
  if (name === undefined) return true;
  const choice = await models.choose(name, '', dirname(document.uri.fsPath));
  if (choice.kind === 'use') return true;
  const said = describeAbsent(choice.absent);
  if (choice.absent.why !== 'remote') throw new MechanistError('model-not-found', `${said}. Name another one.`);
  const picked = await vscode.window.showWarningMessage(`${said}.`, 'Download');
  return picked === 'Download' && (await downloadModel(context, { id: choice.absent.name })) !== undefined;
}

/** Opens the result of a step, if there is one, or one of all of them, as the figures they are. */
async function openResult(
  { experiments }: CommandContext,
  document: vscode.TextDocument,
  step?: string,
): Promise<void> {
  const { results } = experiments;
  const lacks = () => step !== undefined && !results.of(document).steps.has(step);
  if (lacks()) await results.refresh(document);
  if (lacks()) return;
  const { steps } = results.of(document);
  const names = experiments.documents.file(document).steps.flatMap(({ name }) => (steps.has(name) ? [name] : []));
  const only = step ?? (names.length === 1 ? names[0] : undefined);
  const chosen = only ?? (await vscode.window.showQuickPick(names, { title: 'Open Result', placeHolder: 'Step' }));
  if (chosen !== undefined) await open(document, stepResultName(chosen));
}

async function open(document: vscode.TextDocument, name: string): Promise<void> {
  const uri = vscode.Uri.joinPath(vscode.Uri.file(resultsFolder(document.uri.fsPath)), name);
  await vscode.commands.executeCommand('vscode.open', uri, { viewColumn: vscode.ViewColumn.Beside });
}

/** Runs, cancels and opens the results of an experiment; from the palette it runs the active one. */
export async function runExperiment(context: CommandContext, given: ExperimentTarget | undefined): Promise<void> {
  const { runs } = context.experiments;
  const document = await documentOf(given);
  const action: NonNullable<ExperimentTarget['action']> = given?.action ?? 'run';
  const step = given?.step ?? '';
  switch (action) {
    case 'cancel':
      runs.cancel(document.uri.toString());
      return;
    case 'open':
      await openResult(context, document, given?.step);
      return;
    case 'openEvaluation':
      await open(document, stepEvaluationName(step));
      return;
    case 'openCircuit':
      await open(document, `${step}.circuit.json`);
      return;
    case 'run':
    case 'again':
      if (!(await haveModel(context, document))) return;
      await runs.run(document, given?.step === undefined ? undefined : [given.step], action === 'again');
  }
}
