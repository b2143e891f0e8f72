import { basename, dirname, relative } from 'node:path';
import * as vscode from 'vscode';
import { plainText, type TextEdit } from '../../core/tasks/editFrontMatter.ts';
import { appendStep, setStepParameter } from '../../core/tasks/experiment/editStep.ts';
import {
  type CoupledParams,
  freeName,
  pairOf,
  topTokensLines,
  topTokensOf,
} from '../../core/tasks/experiment/topTokensStep.ts';
import type { ExperimentTarget } from '../../shared/contributions.ts';
import type { CouplingRequest } from '../../shared/couplingPicture.ts';
import { MechanistError } from '../../shared/errors.ts';
import { experimentNames, stepOfResult } from '../../shared/experimentRun.ts';
import type { FiguresDocument } from '../../shared/figures.ts';
import type { ExperimentDocuments } from '../experiment/experimentDocuments.ts';
import type { ExperimentRuns } from '../experiment/experimentRuns.ts';
import { exists } from '../files.ts';

/** The open experiments, and whether one can be run now. */
export interface Experiments {
  readonly documents: ExperimentDocuments;
  readonly runs: Pick<ExperimentRuns, 'check' | 'state'>;
}

/** A step of an experiment that a result was made by. */
export interface Place {
  readonly document: vscode.TextDocument;
  readonly step: string;
}

/** A step that is to be run once its experiment has been changed. */
export interface WantedStep {
  readonly place: Place;
  readonly step: string;
  /** Its result is to be opened then. */
  readonly open: boolean;
}

const notFound = (what: string): MechanistError =>
  new MechanistError('bad-input', `The experiment that made this result is not found: ${what}`);

/** The experiment beside the folder of a result. @throws MechanistError `bad-input` where there is none */
export async function placeOf(result: vscode.Uri, { documents }: Experiments): Promise<Place> {
  const folder = dirname(result.path);
  const names = experimentNames(basename(folder));
  const step = stepOfResult(basename(result.path));
  if (names.length === 0 || step === null)
    throw notFound('results of one stand in a folder NAME.results beside NAME.experiment.yaml.');
  for (const name of names) {
    const uri = result.with({ path: `${dirname(folder)}/${name}` });
    if (!(await exists(uri))) continue;
    const document = await vscode.workspace.openTextDocument(uri);
    if (documents.file(document).steps.some((one) => one.name === step)) return { document, step };
    throw notFound(`${name} has no step "${step}" any more. Has it been renamed?`);
  }
  throw notFound(`there is no ${names[0]} beside ${basename(folder)}. Put it back, or make the change in the file.`);
}

/** Makes one change of a file and saves it: it can be undone there. */
export async function change({ document }: Place, edit: TextEdit | null): Promise<void> {
  if (edit === null) {
    const message = `${basename(document.uri.path)} could not be changed: its steps are not a list that can be read. Put right what is underlined.`;
    throw new MechanistError('bad-input', message);
  }
  const range = new vscode.Range(document.positionAt(edit.start), document.positionAt(edit.end));
  const changes = new vscode.WorkspaceEdit();
  changes.replace(document.uri, range, edit.newText);
  if (!(await vscode.workspace.applyEdit(changes)) || !(await document.save()))
    throw new MechanistError('bad-input', `${basename(document.uri.path)} could not be changed. Is it read-only?`);
}

const set = (place: Place, key: string, value: string): Promise<void> =>
  change(place, setStepParameter(place.document.getText(), place.step, key, value));

/** @throws MechanistError `bad-input`: it could not be run; what an earlier run left is not opened for an answer */
export async function runStep({ place, step, open }: WantedStep, { documents, runs }: Experiments): Promise<void> {
  const { document } = place;
  const act = async (action: NonNullable<ExperimentTarget['action']>) => {
    const target: ExperimentTarget = { uri: document.uri.toString(), step, action };
    await vscode.commands.executeCommand('mechanist.runExperiment', target);
  };
  await act('run');
  const file = documents.file(document);
  const own = file.steps.find(({ name }) => name === step);
  const state = own && runs.state(document, file, own);
  if (state?.kind === 'failed') throw new MechanistError('bad-input', `${step}: ${state.message}`);
  if (open) await act('open');
}

/** Asks for a corpus; its name as the experiment writes it, or undefined. */
async function chooseCorpus({ document }: Place): Promise<string | undefined> {
  const folder = vscode.Uri.joinPath(document.uri, '..');
  const [uri] =
    (await vscode.window.showOpenDialog({
      title: 'Choose Corpus',
      canSelectMany: false,
      defaultUri: folder,
      filters: { Text: ['txt', 'jsonl'] },
    })) ?? [];
  return uri && relative(folder.fsPath, uri.fsPath).replaceAll('\\', '/');
}

async function topTokensStep(
  place: Place,
  { documents, runs }: Experiments,
  params: CoupledParams,
  at: readonly [row: number, column: number],
): Promise<WantedStep | null> {
  const file = documents.file(place.document);
  const wanted = pairOf(params, at);
  let step = topTokensOf(file, wanted);
  if (step === undefined) {
    // Nothing is written for a step that would not be run.
    runs.check(place.document);
    const corpus = params.corpus ?? (await chooseCorpus(place));
    if (corpus === undefined) return null;
    step = freeName(file, 'top-tokens');
    const lines = topTokensLines(step, wanted, params, corpus);
    await change(place, appendStep(place.document.getText(), lines));
  }
  return { place, step, open: true };
}

/**
 * Does what was asked in the panel of a coupling: changes the experiment that made it.
 * @returns the step that is to be run then; null where a person chose nothing
 * @throws MechanistError `bad-input` where the experiment is not found, cannot be changed, or cannot be run now
 */
export async function answerCoupling(
  result: vscode.Uri,
  figures: Pick<FiguresDocument, 'request'>,
  request: Exclude<CouplingRequest, { type: 'mapHeads' }>,
  experiments: Experiments,
): Promise<WantedStep | null> {
  const place = await placeOf(result, experiments);
  if (request.type === 'topTokens')
    return await topTokensStep(place, experiments, figures.request.with as CoupledParams, request.features);
  experiments.runs.check(place.document);
  if (request.type === 'useBoundary') await set(place, 'point', 'boundary');
  else {
    const corpus = await chooseCorpus(place);
    if (corpus === undefined) return null;
    await set(place, 'corpus', plainText(corpus));
  }
  return { place, step: place.step, open: false };
}
