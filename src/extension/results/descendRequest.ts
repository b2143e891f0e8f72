import type * as vscode from 'vscode';
import { appendStep } from '../../core/tasks/experiment/editStep.ts';
import { type MapParams, mapLines, mapUnder } from '../../core/tasks/experiment/headsMapStep.ts';
import { freeName } from '../../core/tasks/experiment/topTokensStep.ts';
import type { FiguresDocument } from '../../shared/figures.ts';
import { change, type Experiments, placeOf, run } from './couplingRequests.ts';

/**
 * Goes one node down a map of heads: a step of the same observable under the path, which is added to the experiment where it is not
 * there, then run and opened.
 * @throws MechanistError `bad-input` where the experiment is not found, cannot be changed, or cannot be run now
 */
export async function descend(
  result: vscode.Uri,
  { request }: Pick<FiguresDocument, 'request'>,
  under: string,
  experiments: Experiments,
): Promise<void> {
  const place = await placeOf(result, experiments);
  const params = request.with as MapParams;
  const file = experiments.documents.file(place.document);
  let step = mapUnder(file, params, under);
  if (step === undefined) {
    experiments.runs.check(place.document);
    step = freeName(file, 'heads-under');
    await change(place, appendStep(place.document.getText(), mapLines(step, params, under)));
  }
  await run(place, step);
  await run(place, step, 'open');
}
