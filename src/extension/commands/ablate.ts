import * as vscode from 'vscode';
import type { AblateTarget } from '../../shared/contributions.ts';
import { MechanistError } from '../../shared/errors.ts';
import { count } from '../../shared/format.ts';
import type { AblateRequest } from '../../shared/gridDocument.ts';
import type { CommandContext } from './commandContext.ts';
import { askMetric } from './metricStep.ts';
import {
  ask,
  askAnswer,
  askMethod,
  askPrompts,
  type Begun,
  beginSweep,
  exactPasses,
  haveOneLength,
  mostPositions,
  type Option,
  promptCount,
  startSweep,
} from './sweepSteps.ts';

type Sites = AblateRequest['sites'];

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

/** What stands in for a site that is taken away. */
type StandIn = Pick<AblateRequest, 'mode' | 'meanOver'>;

async function askMode(begun: Begun, n: number, given: AblateTarget | undefined): Promise<StandIn> {
  if (given?.mode) return { mode: given.mode };
  const own: Option<StandIn>[] = [
    {
      label: 'Zero',
      detail: 'Set to 0: simple, and far from anything the model has seen.',
      value: { mode: 'zero' },
    },
    {
      label: 'Mean over positions',
      detail: 'Its mean over the positions of each prompt: what it always writes stays.',
      value: { mode: 'mean', meanOver: 'position' },
    },
  ];
  if (n < 2) return await ask(title, 'What stands in for it', own);
  const even = haveOneLength(begun);
  return await ask(title, 'What stands in for it', [
    {
      label: 'Mean over prompts',
      description: even ? '' : 'needs prompts of one length; these differ',
      detail: `Its mean over the ${n} prompts at each position: takes away what differs between them.`,
      value: { mode: 'mean' },
    },
    ...own,
    {
      label: 'Resample',
      description: even ? '' : 'needs prompts of one length; these differ',
      detail: 'Its value on another of the prompts, drawn with a seed.',
      value: { mode: 'resample' },
    },
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
  const standIn = await askMode(begun, n, given);
  const kind = { analysis: 'ablate', sites, ...standIn, ...(layer !== undefined && { layer }) } as const;
  const method = await askMethod(title, kind, n, begun, given);
  const metric = await askMetric(title, kind, method, answer, begun, given);
  await startSweep(context, begun, { kind, method, metric, prompts, answer, corrupted: 'front matter' }, given?.heads);
}
