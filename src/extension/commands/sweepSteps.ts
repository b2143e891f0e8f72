import * as vscode from 'vscode';
import type { SweepTarget } from '../../shared/contributions.ts';
import { MechanistError } from '../../shared/errors.ts';
import { count, visibleToken } from '../../shared/format.ts';
import type { GridDocument } from '../../shared/gridDocument.ts';
import type { GridPlace } from '../../shared/gridPanelProtocol.ts';
import type { ModelInfo } from '../../shared/modelInfo.ts';
import {
  cellsOfSweep,
  forwardPasses,
  possibleAnswers,
  type Scored,
  type Sweep,
  type SweepKind,
  scoredOf,
  sweepRequest,
  unlikeLengths,
} from '../grid/sweep.ts';
import { type CommandContext, type FoundPrompt, findPrompt } from './commandContext.ts';

/** A prompt file that is about to be swept. */
export interface Begun extends FoundPrompt {
  readonly model: string;
  readonly info: ModelInfo;
}

export interface Option<T> {
  readonly label: string;
  readonly description?: string;
  readonly detail?: string;
  readonly value: T;
}

/** One question. Giving up ends the command without a word. */
export async function ask<T>(title: string, placeHolder: string, options: readonly Option<T>[]): Promise<T> {
  const picked = await vscode.window.showQuickPick(options, { title, placeHolder, matchOnDetail: true });
  if (!picked) throw new MechanistError('cancelled', 'Cancelled.');
  return picked.value;
}

/** Prompt file, model and what is known of it; says what is missing. */
export async function beginSweep(context: CommandContext, given: SweepTarget | undefined): Promise<Begun> {
  const found = await findPrompt(context, given);
  const { session, target } = found;
  if (session.isStale) session.refresh();
  await session.settled();
  if (session.failure) throw session.failure;
  const request = session.request(target.prompt);
  if (!request) {
    const problem = session.problems().find(({ severity }) => severity === 'error');
    const why = problem?.message ?? 'There is no model for this prompt. Run Mechanist: Choose Model.';
    throw new MechanistError('bad-input', why);
  }
  return { ...found, model: request.model, info: await context.models.load(request.model) };
}

function tokensOf({ session }: Begun, prompt: number): readonly string[] | null {
  const state = session.state(prompt);
  return state.kind === 'traced' ? state.document.tokens.map(({ text }) => text) : null;
}

/** Tokens of the longest prompt, as far as they have been traced. */
export function mostPositions(begun: Begun): number {
  const lengths = begun.session.file.prompts.map((_, i) => tokensOf(begun, i)?.length ?? 0);
  return Math.max(1, ...lengths);
}

/** False when two prompts are known to have unlike numbers of tokens. */
export function haveOneLength(begun: Begun): boolean {
  const lengths = begun.session.file.prompts.flatMap((_, i) => tokensOf(begun, i)?.length ?? []);
  return new Set(lengths).size < 2;
}

/** All prompts of the file, or the one at the cursor. */
export async function askPrompts(title: string, begun: Begun, given: SweepTarget | undefined): Promise<'all' | number> {
  const { prompts } = begun.session.file;
  const own = begun.target.prompt;
  if (given?.prompts === 'all') return 'all';
  if (given?.prompts === 'one' || prompts.length < 2) return own;
  return await ask<'all' | number>(title, 'On which prompts', [
    {
      label: `All ${count(prompts.length)} prompts of the file`,
      description: 'mean and interval over prompts',
      value: 'all',
    },
    { label: `Prompt ${own + 1} only`, detail: prompts[own]?.text.slice(0, 80), value: own },
  ]);
}

/** Which token is the answer, where the observable has several with a positive weight. */
export async function askAnswer(
  title: string,
  begun: Begun,
  given: Pick<SweepTarget, 'answer'> | undefined,
): Promise<string | null> {
  const answers = possibleAnswers(begun.session.file);
  if (given?.answer !== undefined) return given.answer;
  if (answers.length < 2) return null;
  return await ask(
    title,
    'The observable has several tokens with a positive weight. Which one is the answer?',
    answers.map((value) => ({ label: visibleToken(value), value })),
  );
}

/** `144 forward passes`, in a person's words. */
function passes(kind: SweepKind, method: GridDocument['method'], prompts: number, begun: Begun): string {
  const cells = cellsOfSweep(kind, begun.info, mostPositions(begun));
  const n = forwardPasses(cells, prompts, method, kind.analysis !== 'ablate');
  return `at most ${count(n)} forward passes`;
}

/** How many runs a kind of sweep takes when every cell is run. */
export function exactPasses(kind: SweepKind, prompts: number, begun: Begun): string {
  return passes(kind, 'exact', prompts, begun);
}

/** Every cell run, or first-order estimates, or both. */
export async function askMethod(
  title: string,
  kind: SweepKind,
  prompts: number,
  begun: Begun,
  given: SweepTarget | undefined,
): Promise<GridDocument['method']> {
  if (given?.method) return given.method;
  const option = (value: GridDocument['method'], label: string, detail: string): Option<GridDocument['method']> => ({
    label,
    description: passes(kind, value, prompts, begun),
    detail,
    value,
  });
  return await ask(title, 'How the cells are computed', [
    option('exact', 'Exact', 'Every cell is run.'),
    option('screened', 'Screened', 'First-order estimates from one backward pass; the 20 largest are run exactly.'),
    option(
      'attribution',
      'Attribution',
      'First-order estimates only; no cell is run. Wrong where the model saturates.',
    ),
  ]);
}

/** The corrupted prompt: front matter, or another prompt of the file with as many tokens. */
export async function askCorrupted(
  title: string,
  begun: Begun,
  given: 'front matter' | number | undefined,
): Promise<Sweep['corrupted']> {
  if (given !== undefined) return given;
  const { file } = begun.session;
  const own = begun.target.prompt;
  const tokens = tokensOf(begun, own);
  const others = file.prompts.flatMap(({ text }, i): Option<number>[] => {
    if (i === own) return [];
    const other = tokensOf(begun, i);
    const unlike = tokens && other ? unlikeLengths(tokens, other) : null;
    const description = unlike === null ? (other ? `${other.length} tokens` : '') : `cannot be patched: ${unlike}`;
    return [{ label: `Prompt ${i + 1}`, description, detail: text.slice(0, 80), value: i }];
  });
  const named = file.frontMatter?.corrupted;
  if (named && others.length === 0) return 'front matter';
  const front: Option<Sweep['corrupted']> = {
    label: 'As the front matter says',
    description: 'corrupted:',
    value: 'front matter',
  };
  if (!named && others.length === 0) return 'front matter';
  const picked = await ask<Sweep['corrupted']>(
    title,
    `The corrupted run for prompt ${own + 1}: a prompt with as many tokens`,
    [...(named ? [front] : []), ...others],
  );
  const other = typeof picked === 'number' ? tokensOf(begun, picked) : null;
  const unlike = tokens && other ? unlikeLengths(tokens, other) : null;
  if (unlike !== null && typeof picked === 'number') {
    throw new MechanistError(
      'bad-input',
      `Prompts ${own + 1} and ${picked + 1} cannot be patched into each other: ${unlike}. Both need as many tokens.`,
    );
  }
  return picked;
}

/** What each prompt's own trace compares, for files that name no observable. */
export async function ownScores(
  context: CommandContext,
  begun: Begun,
  prompts: 'all' | number,
): Promise<Record<string, Scored>> {
  const { session } = begun;
  const own: Record<string, Scored> = {};
  if (session.file.frontMatter?.observable) return own;
  const chosen = session.file.prompts.map((_, i) => i).filter((i) => prompts === 'all' || i === prompts);
  await context.messages.runWithProgress('Reading the likeliest next tokens', async (signal, onProgress) => {
    for (const [done, index] of chosen.entries()) {
      onProgress({ done, total: chosen.length, label: `prompt ${index + 1}` });
      const request = session.request(index);
      const prompt = session.file.prompts[index];
      if (!request || !prompt) continue;
      const document = await session.trace(request, signal);
      own[prompt.text] = scoredOf(document.observable.terms, null);
    }
  });
  return own;
}

/** Everything chosen: makes the request and shows its panel, which fills as cells are done. */
export async function startSweep(
  context: CommandContext,
  begun: Begun,
  chosen: Omit<Sweep, 'own'>,
  marked: readonly GridPlace[] = [],
): Promise<void> {
  const sweep: Sweep = { ...chosen, own: await ownScores(context, begun, chosen.prompts) };
  const request = sweepRequest(begun.session.file, sweep, begun.model);
  context.grids.show({ uri: begun.document.uri.toString(), sweep, request, marked });
}

/** How many prompts are run. */
export function promptCount(begun: Begun, prompts: 'all' | number, corrupted: Sweep['corrupted']): number {
  const { length } = begun.session.file.prompts;
  return prompts === 'all' ? length - (typeof corrupted === 'number' ? 1 : 0) : 1;
}
