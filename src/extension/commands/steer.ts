import { basename } from 'node:path';
import * as vscode from 'vscode';
import { directionFromJson } from '../../core/tasks/steerDirection.ts';
import type { SteerTarget } from '../../shared/contributions.ts';
import { MechanistError } from '../../shared/errors.ts';
import { visibleToken } from '../../shared/format.ts';
import type { GridPrompt } from '../../shared/gridDocument.ts';
import type { SteerDirection } from '../../shared/steerDocument.ts';
import { sweepRequest } from '../grid/sweep.ts';
import type { CommandContext } from './commandContext.ts';
import { ask, askAnswer, type Begun, beginSweep, type Option, ownScores } from './sweepSteps.ts';

const title = 'Steer';

/** Factors of a steering, from −`most` to `most`. */
function evenFactors(most: number, steps = 4): number[] {
  return Array.from({ length: 2 * steps + 1 }, (_, i) => ((i - steps) / steps) * most);
}

async function type(prompt: string, value: string, why: (typed: string) => string | null): Promise<string> {
  const typed = await vscode.window.showInputBox({ title, prompt, value, validateInput: why });
  if (typed === undefined) throw new MechanistError('cancelled', 'Cancelled.');
  return typed;
}

/** The prompt at the cursor with its answer and foils. */
async function promptOf(context: CommandContext, begun: Begun, answer: string | null): Promise<GridPrompt> {
  const { prompt } = begun.target;
  const kind = { analysis: 'ablate', sites: 'heads', mode: 'zero' } as const;
  const own = await ownScores(context, begun, prompt);
  const asked = {
    kind,
    method: 'exact',
    metric: null,
    prompts: prompt,
    answer,
    own,
    corrupted: 'front matter',
  } as const;
  const [found] = sweepRequest(begun.session.file, asked, begun.model).prompts;
  if (!found) throw new MechanistError('bad-input', 'There is no prompt to steer. Put the cursor into one.');
  return found;
}

async function twoTokens(): Promise<SteerDirection> {
  const needed = (typed: string) => (typed === '' ? 'A token of the model; mind the leading space.' : null);
  const toward = await type('Toward this token, as " she" without the quotes', ' ', needed);
  const away = await type('Away from this token; empty: from none', ' ', () => null);
  return { kind: 'unembedding', toward, ...(away.trim() !== '' && { away }) };
}

async function twoPrompts({ session, target }: Begun): Promise<SteerDirection> {
  const { prompts } = session.file;
  if (prompts.length < 2) {
    throw new MechanistError(
      'bad-input',
      'There is one prompt in this file. Write the two that make the direction into it.',
    );
  }
  const options = prompts.map(({ text }, i): Option<string> => {
    const own = i === target.prompt ? 'the steered prompt itself' : '';
    return { label: `Prompt ${i + 1}`, description: own, detail: text.slice(0, 80), value: text };
  });
  const plus = await ask(title, 'Toward the activation at the end of', options);
  const others = options.filter(({ value }) => value !== plus);
  return { kind: 'prompts', plus, minus: await ask(title, 'Away from the activation at the end of', others) };
}

async function fromFile(): Promise<SteerDirection> {
  const filters = { 'List of numbers': ['json'] };
  const [uri] = (await vscode.window.showOpenDialog({ title, canSelectMany: false, filters })) ?? [];
  if (!uri) throw new MechanistError('cancelled', 'Cancelled.');
  return directionFromJson(new TextDecoder().decode(await vscode.workspace.fs.readFile(uri)), basename(uri.path));
}

async function askDirection(
  begun: Begun,
  { answer, foils: [foil] }: GridPrompt,
  given: SteerTarget | undefined,
): Promise<SteerDirection> {
  if (given?.direction) return given.direction;
  const [toward, away] = [String(answer), foil === undefined ? undefined : String(foil)];
  const make = await ask<() => SteerDirection | Promise<SteerDirection>>(title, 'Along which direction', [
    {
      label: away === undefined ? visibleToken(toward) : `${visibleToken(toward)} − ${visibleToken(away)}`,
      description: 'the observable',
      detail: 'Difference of the two tokens’ columns of the unembedding.',
      value: () => ({ kind: 'unembedding', toward, ...(away !== undefined && { away }) }),
    },
    { label: 'Two other tokens…', detail: 'Difference of their columns of the unembedding.', value: twoTokens },
    {
      label: 'Two prompts…',
      detail: 'Difference of the activations at their last position, at the place that is steered.',
      value: () => twoPrompts(begun),
    },
    { label: 'A file…', detail: 'A JSON list of numbers, one for each dimension.', value: fromFile },
  ]);
  return await make();
}

async function askHook({ info }: Begun, given: SteerTarget | undefined): Promise<string> {
  if (given?.hook !== undefined) return given.hook;
  const middle = Math.floor(info.nLayers / 2);
  const before = (layer: number, description: string): Option<string | null> => ({
    label: `Before layer ${layer}`,
    description,
    detail: `blocks.${layer}.hook_resid_pre`,
    value: `blocks.${layer}.hook_resid_pre`,
  });
  const layers = Array.from({ length: info.nLayers }, (_, layer) => layer).filter((layer) => layer !== middle);
  const last = info.nLayers - 1;
  const picked = await ask<string | null>(title, 'Where in the residual stream', [
    before(middle, 'the middle'),
    ...layers.map((layer) => before(layer, '')),
    {
      label: 'After the last layer',
      detail: `blocks.${last}.hook_resid_post`,
      value: `blocks.${last}.hook_resid_post`,
    },
    { label: 'At another hook point…', detail: 'As attn_out, mlp_out, or one head’s z', value: null },
  ]);
  if (picked !== null) return picked;
  const needed = (typed: string) => (typed.trim() === '' ? 'The name of a hook point.' : null);
  return (await type('Hook point, as blocks.3.hook_mlp_out', `blocks.${middle}.hook_resid_pre`, needed)).trim();
}

async function askPositions(given: SteerTarget | undefined): Promise<readonly number[] | undefined> {
  if (given?.positions !== undefined) return given.positions === 'all' ? undefined : given.positions;
  return await ask<readonly number[] | undefined>(title, 'At which positions', [
    { label: 'Every position', value: undefined },
    { label: 'The last position', detail: 'Where the next token is predicted.', value: [-1] },
  ]);
}

async function askFactors(given: SteerTarget | undefined): Promise<readonly number[]> {
  if (given?.factors) return given.factors;
  const most = await ask<number | null>(title, 'How far: the largest factor of a direction of length 1', [
    ...[8, 4, 16, 32, 64].map((value) => ({ label: `−${value} … +${value}`, description: '9 runs', value })),
    { label: 'Another factor…', value: null },
  ]);
  if (most !== null) return evenFactors(most);
  const good = (typed: string) => (Number(typed) > 0 && Number.isFinite(Number(typed)) ? null : 'A number above 0.');
  return evenFactors(Number(await type('The largest factor', '100', good)));
}

/** Adds a direction inside the model, further and further both ways, and shows what becomes of the prediction. */
export async function steer(context: CommandContext, given: SteerTarget | undefined): Promise<void> {
  const begun = await beginSweep(context, given);
  const answer = await askAnswer(title, begun, given);
  const prompt = await promptOf(context, begun, answer);
  const direction = await askDirection(begun, prompt, given);
  const hook = await askHook(begun, given);
  const positions = await askPositions(given);
  const factors = await askFactors(given);
  const request = { model: begun.model, prompt, direction, hook, factors, ...(positions && { positions }) };
  const document = await context.messages.runWithProgress('Steering', (signal, onProgress) =>
    context.engine.request('steer', request, { signal, onProgress }),
  );
  if (document) context.steering.show(begun.document.uri, document);
}
