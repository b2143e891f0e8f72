import type { DatasetProblem, DatasetRow } from '../../shared/dataset.ts';
import { type ErrorCode, MechanistError } from '../../shared/errors.ts';
import { visibleToken } from '../../shared/format.ts';
import type { GridItem, GridPrompt, GridRequest } from '../../shared/gridDocument.ts';
import type { AnswerTarget, MetricSpec } from '../../shared/metric.ts';
import type { Tokenizer } from '../models/tokenizer.ts';
import { resolveEntry } from './datasetResolve.ts';
import { metricWords } from './metrics.ts';

/** One item of a sweep in the model's tokens. */
export interface SweepItem {
  readonly shown: GridItem;
  readonly ids: Int32Array;
  /** As long as `ids`; null without a corrupted prompt. */
  readonly corruptedIds: Int32Array | null;
  readonly targets: readonly AnswerTarget[];
}

/** A checked request. */
export interface ResolvedGrid {
  readonly items: readonly SweepItem[];
  readonly metric: MetricSpec;
  readonly warnings: readonly string[];
}

const ERROR_CODES: Partial<Record<DatasetProblem['code'], ErrorCode>> = {
  'token-splits': 'token-splits',
  'prompt-empty': 'prompt-empty',
  'prompt-too-long': 'prompt-too-long',
};

function rowOf(prompt: GridPrompt, index: number): DatasetRow {
  const { clean, corrupted, answer, foils, also, position = -1, tags = [], more = [] } = prompt;
  const answers = [{ answer, foils, also, position }, ...more.map((one) => ({ ...one, position: one.position ?? -1 }))];
  return {
    id: prompt.id ?? String(index + 1),
    clean,
    ...(corrupted !== undefined && { corrupted }),
    roles: {},
    answers: answers.map((one, i) => ({
      name: answers.length === 1 ? 'answer' : `answer ${i + 1}`,
      pos: one.position,
      token: one.answer,
      foils: one.foils,
      ...(one.also !== undefined && { also: one.also }),
    })),
    tags,
  };
}

function refuse(problem: DatasetProblem, id: string, alone: boolean): never {
  const place = alone ? '' : `Prompt ${id}: `;
  throw new MechanistError(ERROR_CODES[problem.code] ?? 'bad-input', place + problem.message, {
    prompt: id,
    problem: problem.code,
  });
}

function resolvePrompt(prompt: GridPrompt, index: number, tokenizer: Tokenizer, nCtx: number, alone: boolean) {
  const row = rowOf(prompt, index);
  const text = JSON.stringify(row);
  const { item, problems } = resolveEntry({ line: index, text, row, header: null, problems: [] }, tokenizer, nCtx);
  const error = problems.find(({ severity }) => severity === 'error');
  if (item === null) {
    if (error !== undefined) refuse(error, row.id, alone);
    throw new MechanistError('internal', `Prompt ${row.id} could not be read.`);
  }
  const textOf = (id: number) => tokenizer.tokenText(id);
  const tokensOf = (tokens: typeof item.clean | null) =>
    tokens?.map(({ id, text: own }) => ({ id, text: own })) ?? null;
  const [first] = item.answers;
  const shown: GridItem = {
    id: item.id,
    prompt: prompt.clean,
    corrupted: prompt.corrupted ?? null,
    tokens: tokensOf(item.clean) ?? [],
    corruptedTokens: tokensOf(item.corrupted),
    answer: textOf(first.answer),
    foils: first.foils.map(textOf),
    tags: item.tags,
  };
  return {
    item: {
      shown,
      ids: Int32Array.from(item.clean, ({ id }) => id),
      corruptedIds: item.corrupted && Int32Array.from(item.corrupted, ({ id }) => id),
      targets: item.answers,
    },
    warnings: problems.map(({ message }) => (alone ? message : `Prompt ${row.id}: ${message}`)),
  };
}

/** What is measured when nobody says: the logit difference against the foils, the log-probability where there are none. */
function defaultMetric(prompts: readonly GridPrompt[]): MetricSpec {
  const counts = prompts.map(({ foils }) => foils.length);
  if (counts.every((count) => count === 0)) return { kind: 'log-prob' };
  return { kind: 'logit-difference', foil: counts.every((count) => count === 1) ? 'one' : 'mean' };
}

function checkNumbers({ seed, memoryBytes, verifyTop }: GridRequest): void {
  if (seed !== undefined && (!Number.isSafeInteger(seed) || seed < 0)) {
    throw new MechanistError('bad-input', `A seed is a whole number from 0, not ${seed}.`);
  }
  if (memoryBytes !== undefined && !(memoryBytes > 0)) {
    throw new MechanistError('bad-input', `The memory of a sweep is a number of bytes above 0, not ${memoryBytes}.`);
  }
  if (verifyTop !== undefined && (!Number.isSafeInteger(verifyTop) || verifyTop < 1)) {
    throw new MechanistError('bad-input', `At least 1 cell must be verified, not ${verifyTop}.`);
  }
}

/**
 * Turns the prompts of a request into tokens and checks that they fit what is asked.
 * @throws MechanistError `bad-input` (no prompts, clean and corrupted of unlike length: says where they part), `token-splits`
 * (an answer of several tokens, with the split), `prompt-empty`, `prompt-too-long`; names the prompt
 */
export function resolveGridRequest(request: GridRequest, tokenizer: Tokenizer, nCtx: number): ResolvedGrid {
  checkNumbers(request);
  const { prompts, analysis } = request;
  if (prompts.length === 0) throw new MechanistError('bad-input', 'There is no prompt to run. Give at least one.');
  const metric = request.metric ?? defaultMetric(prompts);
  if (metric.normalize !== undefined && analysis === 'ablate') {
    throw new MechanistError(
      'bad-input',
      'A normalised metric compares with a corrupted run, which an ablation has not. Leave normalize out.',
    );
  }
  const warnings: string[] = [];
  const items = prompts.map((prompt, index) => {
    const alone = prompts.length === 1;
    if (analysis !== 'ablate' && prompt.corrupted === undefined) {
      const name = alone ? 'The prompt' : `Prompt ${prompt.id ?? index + 1}`;
      throw new MechanistError(
        'bad-input',
        `${name} has no corrupted prompt to patch from. Give one with as many tokens as the clean prompt.`,
      );
    }
    const own = resolvePrompt(prompt, index, tokenizer, nCtx, alone);
    warnings.push(...own.warnings);
    return own.item;
  });
  checkIds(items);
  return { items, metric, warnings };
}

function checkIds(items: readonly SweepItem[]): void {
  const seen = new Set<string>();
  for (const { shown } of items) {
    if (seen.has(shown.id)) throw new MechanistError('bad-input', `Two prompts have the id "${shown.id}".`);
    seen.add(shown.id);
  }
}

/** Number of tokens → how many prompts have it, in words: `14 (7 prompts), 15 (prompt b)`. */
function lengthsOf(items: readonly SweepItem[]): string {
  const byLength = new Map<number, string[]>();
  for (const { ids, shown } of items) byLength.set(ids.length, [...(byLength.get(ids.length) ?? []), shown.id]);
  return [...byLength]
    .sort(([a], [b]) => a - b)
    .map(([length, names]) => `${length} (${names.length === 1 ? `prompt ${names[0]}` : `${names.length} prompts`})`)
    .join(', ');
}

/**
 * The common number of tokens.
 * @param why what needs it, as the beginning of a sentence: `A mean over the batch at each position`
 * @throws MechanistError `bad-input` with the lengths
 */
export function commonLength(items: readonly SweepItem[], why: string): number {
  const [{ ids }] = items;
  if (items.every((item) => item.ids.length === ids.length)) return ids.length;
  throw new MechanistError(
    'bad-input',
    `${why} needs prompts of equal length; these have ${lengthsOf(items)} tokens. Leave out the others.`,
  );
}

/** Labels of positions: the token where all prompts have the same, else the number from 1. */
export function positionLabels(items: readonly SweepItem[]): string[] {
  const [{ shown }] = items;
  return shown.tokens.map(({ id, text }, pos) =>
    items.every((item) => item.ids[pos] === id) ? visibleToken(text) : `position ${pos + 1}`,
  );
}

/** What the metric is called and counted in. */
export function describeMetric(spec: MetricSpec, items: readonly SweepItem[]): { label: string; unit: string } {
  const [{ shown }] = items;
  const same = items.every(
    ({ shown: other, targets }) =>
      targets.length === 1 && other.answer === shown.answer && other.foils.join('\0') === shown.foils.join('\0'),
  );
  const answer = same ? visibleToken(shown.answer) : 'answer';
  const labels: Readonly<Record<MetricSpec['kind'], string>> = {
    'logit-difference': `${answer} − ${differenceLabel(spec, same ? shown.foils : null)}`,
    'log-prob': `ln p(${answer})`,
    prob: `p(${answer})`,
    'prob-sum-difference': 'Σ p(right answers) − Σ p(foils)',
    kl: 'KL(clean ‖ run)',
    'cross-entropy': `−ln p(${answer})`,
    rank: `rank of ${answer}`,
  };
  return { label: labels[spec.kind], unit: metricWords(spec).unit };
}

function differenceLabel(spec: MetricSpec, foils: readonly string[] | null): string {
  const form = spec.kind === 'logit-difference' ? spec.foil : 'one';
  if (foils === null) return form === 'one' ? 'foil' : `${form} of the foils`;
  if (foils.length === 1) return visibleToken(foils[0]);
  return `${form} of ${foils.length} foils`;
}
