import * as vscode from 'vscode';
import type { AblateTarget } from '../../shared/contributions.ts';
import { MechanistError } from '../../shared/errors.ts';
import { count } from '../../shared/format.ts';
import type { AblateRequest } from '../../shared/gridDocument.ts';
import type { CommandContext } from './commandContext.ts';
import {
  ask,
  askAnswer,
  askMethod,
  askPrompts,
  type Begun,
  beginSweep,
  exactPasses,
  mostPositions,
  promptCount,
  startSweep,
} from './sweepSteps.ts';

type Sites = AblateRequest['sites'];
type Mode = AblateRequest['mode'];

const title = 'Ablate';

async function askSites(begun: Begun, n: number, given: AblateTarget | undefined): Promise<Sites> {
  if (given?.sites) return given.sites;
  const { info } = begun;
  const option = (value: Sites, label: string, detail: string) => ({
    label,
    description: exactPasses({ analysis: 'ablate', sites: value, mode: 'zero' }, n, begun),
    detail,
    value,
  });
  return await ask(title, 'What is taken away, one at a time', [
    option('heads', `Heads: ${count(info.nLayers * info.nHeads)}`, "Each attention head's z, at every position"),
    option('mlps', `MLPs: ${count(info.nLayers)}`, "Each MLP's output, at every position"),
    option(
      'positions',
      `Layers × positions: ${count(info.nLayers * mostPositions(begun))}`,
      'The residual stream at each layer and position',
    ),
    option('neurons', `Neurons of one layer: ${count(info.dMlp)}`, "Each neuron of a layer's MLP, at every position"),
  ]);
}

async function askMode(n: number, given: AblateTarget | undefined): Promise<Mode> {
  if (given?.mode) return given.mode;
  const zero = {
    label: 'Zero',
    detail: 'Set to 0: simple, and far from anything the model has seen.',
    value: 'zero' as const,
  };
  if (n < 2) return 'zero';
  return await ask<Mode>(title, 'What stands in for it', [
    {
      label: 'Mean',
      detail: `Its mean over the ${n} prompts: takes away only what differs between them.`,
      value: 'mean',
    },
    zero,
    { label: 'Resample', detail: 'Its value on another of the prompts, drawn with a seed.', value: 'resample' },
  ]);
}

async function askLayer({ info }: Begun, given: AblateTarget | undefined): Promise<number> {
  if (given?.layer !== undefined) return given.layer;
  const last = info.nLayers - 1;
  const text = await vscode.window.showInputBox({
    title,
    prompt: `The layer whose neurons are ablated: 0 to ${last}`,
    value: String(last),
    validateInput: (typed) =>
      /^\d+$/.test(typed) && Number(typed) <= last ? null : `A whole number from 0 to ${last}.`,
  });
  if (text === undefined) throw new MechanistError('cancelled', 'Cancelled.');
  return Number(text);
}

/** Takes away one site after another and maps what that does to the observable. */
export async function ablate(context: CommandContext, given: AblateTarget | undefined): Promise<void> {
  const begun = await beginSweep(context, given);
  const answer = await askAnswer(title, begun, given);
  const prompts = await askPrompts(title, begun, given);
  const n = promptCount(begun, prompts, 'front matter');
  const sites = await askSites(begun, n, given);
  const layer = sites === 'neurons' ? await askLayer(begun, given) : undefined;
  const mode = await askMode(n, given);
  const kind = { analysis: 'ablate', sites, mode, ...(layer !== undefined && { layer }) } as const;
  const method = await askMethod(title, kind, n, begun, given);
  await startSweep(context, begun, { kind, method, prompts, answer, corrupted: 'front matter' }, given?.heads);
}
