import type * as vscode from 'vscode';
import { appendStep } from '../../core/tasks/experiment/editStep.ts';
import { type MapParams, mapLines, mapUnder } from '../../core/tasks/experiment/headsMapStep.ts';
import { freeName } from '../../core/tasks/experiment/topTokensStep.ts';
import type { FiguresDocument } from '../../shared/figures.ts';
import type { ExperimentDocuments } from '../experiment/experimentDocuments.ts';
import { change, placeOf, run } from './couplingRequests.ts';

/**
 * Goes one node down a map of heads: a step of the same observable under the path, which is added to the experiment where it is not
 * there, then run and opened.
 * @throws MechanistError `bad-input` where the experiment is not found, or cannot be changed
 */
export async function descend(
  result: vscode.Uri,
  { request }: Pick<FiguresDocument, 'request'>,
  under: string,
  documents: ExperimentDocuments,
): Promise<void> {
  const place = await placeOf(result, documents);
  const params = request.with as MapParams;
  const file = documents.file(place.document);
  let step = mapUnder(file, params, under);
  if (step === undefined) {
    step = freeName(file, 'heads-under');
    await change(place, appendStep(place.document.getText(), mapLines(step, params, under)));
  }
  await run(place, step);
  await run(place, step, 'open');
}
