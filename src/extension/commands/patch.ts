import * as vscode from 'vscode';
import type { PatchTarget } from '../../shared/contributions.ts';
import { MechanistError } from '../../shared/errors.ts';
import type { PatchRequest } from '../../shared/gridDocument.ts';
import { exampleHeads, readHeads } from '../grid/receivers.ts';
import { isHeadSite, type Sweep } from '../grid/sweep.ts';
import type { CommandContext } from './commandContext.ts';
import { askMetric } from './metricStep.ts';
import {
  ask,
  askAnswer,
  askCorrupted,
  askMethod,
  askPrompts,
  type Begun,
  beginSweep,
  exactPasses,
  promptCount,
  startSweep,
} from './sweepSteps.ts';

type Site = PatchRequest['site'];
/** Which run is changed, and by what. */
export type Direction = 'denoising' | 'noising';

const title = 'Patch Activations';

const sites: readonly (readonly [Site, boolean, string])[] = [
  ['resid_pre', true, 'The residual stream before each layer, position by position'],
  ['resid_mid', true, 'The residual stream between attention and MLP, position by position'],
  ['resid_post', true, 'The residual stream after each layer, position by position'],
  ['attn_out', true, "Each attention layer's output, position by position"],
  ['mlp_out', true, "Each MLP's output, position by position"],
  ['z', false, "Each head's z, all positions at once"],
  ['q', false, "Each head's queries, all positions at once"],
  ['k', false, "Each key-value head's keys, all positions at once"],
  ['v', false, "Each key-value head's values, all positions at once"],
  ['pattern', false, "Each head's attention pattern"],
  ['z', true, 'z of heads that you name, position by position'],
  ['q', true, 'Queries of heads that you name, position by position'],
  ['k', true, 'Keys of key-value heads that you name, position by position'],
  ['v', true, 'Values of key-value heads that you name, position by position'],
  ['pattern', true, 'Attention pattern of heads that you name, query by query'],
];

type Place = Pick<PatchRequest, 'site' | 'byPosition' | 'heads'>;

/** Heads that are the rows of a grid by position. */
async function askHeads(site: Site, { info }: Begun): Promise<PatchRequest['heads']> {
  const byKey = site === 'k' || site === 'v';
  const model = { nLayers: info.nLayers, nHeads: byKey ? info.nKeyValueHeads : info.nHeads };
  const text = await vscode.window.showInputBox({
    title,
    prompt: `${byKey && info.nKeyValueHeads < info.nHeads ? 'Key-value heads' : 'Heads'}, as ${exampleHeads}, or every one of a layer, as L9`,
    placeHolder: exampleHeads,
    validateInput: (typed) => {
      const read = readHeads(typed, model);
      return typeof read === 'string' ? read : null;
    },
  });
  const read = text === undefined ? undefined : readHeads(text, model);
  if (read === undefined || typeof read === 'string') throw new MechanistError('cancelled', 'Cancelled.');
  return read;
}

async function askSite(begun: Begun, n: number, given: PatchTarget | undefined): Promise<Place> {
  const place = given?.site
    ? { site: given.site, byPosition: given.byPosition ?? (given.heads !== undefined || !isHeadSite(given.site)) }
    : await ask(
        title,
        'What is moved from one run into the other, one cell at a time',
        sites.map(([site, byPosition, detail]) => {
          const named = byPosition && isHeadSite(site);
          const cost = exactPasses({ analysis: 'patch', site, byPosition }, n, begun);
          const each = `a head: ${exactPasses({ analysis: 'patch', site, byPosition, heads: [{ layer: 0, head: 0 }] }, n, begun)}`;
          return {
            label: named ? `${site} of chosen heads` : site,
            description: named ? each : cost,
            detail,
            value: { site, byPosition },
          };
        }),
      );
  if (!place.byPosition || !isHeadSite(place.site)) return place;
  const heads = given?.heads ?? (await askHeads(place.site, begun));
  return { ...place, ...(heads && { heads }) };
}

/** Denoising or noising, with what each of them shows. */
export async function askDirection(of: string, given: Direction | undefined): Promise<Direction> {
  if (given) return given;
  return await ask<Direction>(of, 'In which direction', [
    {
      label: 'Denoising',
      detail: 'Clean into the corrupted run: what is enough to restore the behaviour.',
      value: 'denoising',
    },
    { label: 'Noising', detail: 'Corrupted into the clean run: what is needed for the behaviour.', value: 'noising' },
  ]);
}

/** Corrupted prompt, then prompts: another prompt of the file is the pair of one prompt only. */
export async function askPair(
  of: string,
  begun: Begun,
  given: PatchTarget | undefined,
): Promise<Pick<Sweep, 'corrupted' | 'prompts'>> {
  const corrupted = await askCorrupted(of, begun, given?.corrupted);
  const prompts = typeof corrupted === 'number' ? begun.target.prompt : await askPrompts(of, begun, given);
  return { corrupted, prompts };
}

/** Moves activations between the clean and the corrupted run, cell by cell. */
export async function patch(context: CommandContext, given: PatchTarget | undefined): Promise<void> {
  const begun = await beginSweep(context, given);
  const answer = await askAnswer(title, begun, given);
  const { corrupted, prompts } = await askPair(title, begun, given);
  const n = promptCount(begun, prompts, corrupted);
  const site = await askSite(begun, n, given);
  const direction = await askDirection(title, given?.direction);
  const kind = { analysis: 'patch', ...site, direction } as const;
  const method = await askMethod(title, kind, n, begun, given);
  const metric = await askMetric(title, kind, method, answer, begun, given);
  await startSweep(context, begun, { kind, method, metric, prompts, answer, corrupted });
}
