import type * as vscode from 'vscode';
import { appendStep } from '../../core/tasks/experiment/editStep.ts';
import { type MapParams, mapLines, mapUnder } from '../../core/tasks/experiment/headsMapStep.ts';
import { type CoupledParams, freeName } from '../../core/tasks/experiment/topTokensStep.ts';
import { coupledFeatures } from '../../shared/couplingFeatures.ts';
import { MechanistError } from '../../shared/errors.ts';
import { headsWriteTo } from '../../shared/features.ts';
import type { FiguresDocument } from '../../shared/figures.ts';
import { change, type Experiments, type Place, placeOf, type WantedStep } from './couplingRequests.ts';

/** The step that maps the heads of an observable under a path; it is added to the experiment where it is not there. */
async function mapStep(
  place: Place,
  { documents, runs }: Experiments,
  params: MapParams,
  under: string,
): Promise<WantedStep> {
  if (!headsWriteTo(under)) throw new MechanistError('bad-input', `No head writes to what ${under} reads.`);
  const file = documents.file(place.document);
  let step = mapUnder(file, params, under);
  if (step === undefined) {
    runs.check(place.document);
    step = freeName(file, 'heads-under');
    await change(place, appendStep(place.document.getText(), mapLines(step, params, under)));
  }
  return { place, step, open: true };
}

/**
 * Goes one node down a map of heads: a step of the same observable under the path, which is added to the experiment where it is not
 * there.
 * @returns the step that is to be run then
 * @throws MechanistError `bad-input` where the experiment is not found, cannot be changed, or cannot be run now
 */
export async function descend(
  result: vscode.Uri,
  { request }: Pick<FiguresDocument, 'request'>,
  under: string,
  experiments: Experiments,
): Promise<WantedStep> {
  return await mapStep(await placeOf(result, experiments), experiments, request.with as MapParams, under);
}

/** Maps the heads that write a feature of a coupling, as `descend`; null for what its step does not name. */
export async function descendFeature(
  result: vscode.Uri,
  { request }: Pick<FiguresDocument, 'request'>,
  feature: number,
  experiments: Experiments,
): Promise<WantedStep | null> {
  const { features, corruption } = request.with as CoupledParams;
  const found = coupledFeatures(features).at(feature);
  if (found === undefined) return null;
  const params = { observable: found.observable, ...(corruption !== undefined && { corruption }) };
  return await mapStep(await placeOf(result, experiments), experiments, params, found.path);
}
