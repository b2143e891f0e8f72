import * as vscode from 'vscode';
import type { PathPatchTarget } from '../../shared/contributions.ts';
import { MechanistError } from '../../shared/errors.ts';
import { count } from '../../shared/format.ts';
import type { PathPatchRequest } from '../../shared/gridDocument.ts';
import type { ModelInfo } from '../../shared/modelInfo.ts';
import { exampleReceivers, readReceivers } from '../grid/receivers.ts';
import type { CommandContext } from './commandContext.ts';
import { askMetric } from './metricStep.ts';
import { askDirection, askPair } from './patch.ts';
import { ask, askAnswer, beginSweep, startSweep } from './sweepSteps.ts';

type Receivers = PathPatchRequest['receivers'];
const title = 'Patch Paths';
async function askReceivers(info: ModelInfo, given: PathPatchTarget | undefined): Promise<Receivers> {
  if (given?.receivers) return given.receivers;
  const senders = `${count(info.nLayers * info.nHeads)} senders`;
  const where = await ask(title, 'Where the paths from each head end', [
    {
      label: 'The output',
      description: senders,
      detail: 'Head → final residual stream → logits',
      value: 'final' as const,
    },
    {
      label: 'Inputs of chosen heads…',
      description: senders,
      detail: 'Head → query, key or value of heads that you name',
      value: 'heads' as const,
    },
  ]);
  if (where === 'final') return 'final';
  const text = await vscode.window.showInputBox({
    title,
    prompt: `Heads and inputs, as ${exampleReceivers}`,
    placeHolder: exampleReceivers,
    validateInput: (typed) => {
      const read = readReceivers(typed, info);
      return typeof read === 'string' ? read : null;
    },
  });
  const read = text === undefined ? undefined : readReceivers(text, info);
  if (read === undefined || typeof read === 'string') throw new MechanistError('cancelled', 'Cancelled.');
  return read;
}

async function askMlps(given: PathPatchTarget | undefined): Promise<PathPatchRequest['mlps']> {
  if (given?.mlps) return given.mlps;
  return await ask<PathPatchRequest['mlps']>(title, 'MLPs on the way', [
    {
      label: 'Recomputed',
      detail: 'MLPs between sender and receiver answer the change: paths through them count.',
      value: 'recomputed',
    },
    { label: 'Frozen', detail: 'MLPs keep the value of the unchanged run: direct paths only.', value: 'frozen' },
  ]);
}

/** Moves one head's output along its paths to the output or to chosen heads, sender by sender. */
export async function patchPaths(context: CommandContext, given: PathPatchTarget | undefined): Promise<void> {
  const begun = await beginSweep(context, given);
  const answer = await askAnswer(title, begun, given);
  const { corrupted, prompts } = await askPair(title, begun, given);
  const receivers = await askReceivers(begun.info, given);
  const mlps = await askMlps(given);
  const direction = await askDirection(title, given?.direction);
  const kind = { analysis: 'path-patch', receivers, mlps, direction } as const;
  // Paths have no first-order estimate: there is one method to run them.
  const method = given?.method ?? 'exact';
  const metric = await askMetric(title, kind, method, answer, begun, given);
  await startSweep(context, begun, { kind, method, metric, prompts, answer, corrupted });
}
