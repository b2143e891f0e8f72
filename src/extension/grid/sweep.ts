import type { PromptFile, PromptSection } from '../../core/tasks/promptFile.ts';
import { MechanistError } from '../../shared/errors.ts';
import type {
  AblateRequest,
  GridDocument,
  GridPrompt,
  GridRequest,
  PatchRequest,
  PathPatchRequest,
} from '../../shared/gridDocument.ts';
import type { MetricSpec } from '../../shared/metric.ts';
import type { ModelInfo } from '../../shared/modelInfo.ts';
import type { ObservableTerm } from '../../shared/traceDocument.ts';

/** What is swept, without prompts and model. */
export type SweepKind =
  | Pick<AblateRequest, 'analysis' | 'sites' | 'mode' | 'meanOver' | 'layer'>
  | Pick<PatchRequest, 'analysis' | 'site' | 'byPosition' | 'heads' | 'direction'>
  | Pick<PathPatchRequest, 'analysis' | 'receivers' | 'mlps' | 'direction'>;

/** A token that is scored against others. */
export interface Scored {
  readonly answer: string;
  readonly foils: readonly string[];
}

/** What a person chose; with the prompt file it makes a request, again after an edit. */
export interface Sweep {
  readonly kind: SweepKind;
  readonly method: GridDocument['method'];
  /** Null: what is measured when nobody says, a logit difference where there are foils. */
  readonly metric: MetricSpec | null;
  /** Every prompt of the file, or one of them (0-based). */
  readonly prompts: 'all' | number;
  /** Which of several positive terms of the observable is the answer; null: the only one. */
  readonly answer: string | null;
  /** For files without an observable: what each prompt's own trace compares, by the prompt's text. */
  readonly own: Readonly<Record<string, Scored>>;
  /** The corrupted prompt: what the front matter says, or another prompt of the file (0-based). Only for patching. */
  readonly corrupted: 'front matter' | number;
}

/** Texts of an observable's terms, as `{ " she": 1, " he": -1 }` or as a trace has them. */
export function scoredOf(terms: readonly Pick<ObservableTerm, 'text' | 'weight'>[], answer: string | null): Scored {
  const positive = terms.filter(({ weight }) => weight > 0).map(({ text }) => text);
  const foils = terms.filter(({ weight }) => weight < 0).map(({ text }) => text);
  const [first] = positive;
  if (first === undefined) {
    throw new MechanistError(
      'bad-input',
      'The observable has no token with a positive weight, so there is no answer to score. Give one the weight 1.',
    );
  }
  return { answer: answer !== null && positive.includes(answer) ? answer : first, foils };
}

/** Tokens with a positive weight: more than one and somebody has to say which is the answer. */
export function possibleAnswers(file: PromptFile): readonly string[] {
  return file.frontMatter?.observable?.words.filter(({ weight }) => weight > 0).map(({ value }) => value) ?? [];
}

function scoreOf(file: PromptFile, prompt: PromptSection, sweep: Sweep): Scored {
  const words = file.frontMatter?.observable?.words;
  if (words) {
    return scoredOf(
      words.map(({ value, weight }) => ({ text: value, weight })),
      sweep.answer,
    );
  }
  const own = sweep.own[prompt.text];
  if (own) return own;
  throw new MechanistError('bad-input', 'The file names no observable and this prompt has not been traced. Run again.');
}

/**
 * The corrupted prompt of each prompt, as the front matter gives them.
 * @throws MechanistError `bad-input`: `missing`, or not one for each
 */
export function partnersIn({ frontMatter, prompts }: PromptFile, missing: string): readonly string[] {
  const given = frontMatter?.corrupted?.value;
  if (given === undefined) throw new MechanistError('bad-input', missing);
  if (typeof given === 'string') return prompts.map(() => given);
  if (given.length === prompts.length) return given;
  const message = `corrupted: lists ${given.length} prompts for ${prompts.length}. Give one for each, in their order, or one text for all.`;
  throw new MechanistError('bad-input', message);
}

function corruptedOf(file: PromptFile, index: number, sweep: Sweep): string | undefined {
  if (sweep.kind.analysis === 'ablate') return undefined;
  if (sweep.corrupted !== 'front matter') {
    const other = file.prompts[sweep.corrupted];
    if (other) return other.text;
    throw new MechanistError('bad-input', 'The corrupted prompt is no longer in the file. Choose another one.');
  }
  const missing =
    'Patching compares two runs, and there is no corrupted prompt. Write corrupted: into the front matter, or choose another prompt of the file.';
  return partnersIn(file, missing)[index];
}

/** The prompts that a sweep acts on, with their 0-based places in the file. */
function chosenPrompts(file: PromptFile, sweep: Sweep): { prompt: PromptSection; index: number }[] {
  const all = file.prompts.map((prompt, index) => ({ prompt, index }));
  return sweep.prompts === 'all'
    ? all.filter(({ index }) => index !== sweep.corrupted)
    : all.slice(sweep.prompts, sweep.prompts + 1);
}

function promptOf(file: PromptFile, prompt: PromptSection, index: number, sweep: Sweep): GridPrompt {
  const corrupted = corruptedOf(file, index, sweep);
  const position = file.frontMatter?.position?.value;
  return {
    id: String(index + 1),
    clean: prompt.text,
    ...(corrupted !== undefined && { corrupted }),
    ...scoreOf(file, prompt, sweep),
    ...(position !== undefined && { position }),
  };
}

/**
 * What the engine is asked.
 * @throws MechanistError `bad-input`: no prompt, no answer, no corrupted prompt or not one for each
 */
export function sweepRequest(file: PromptFile, sweep: Sweep, model: string): GridRequest {
  const prompts = chosenPrompts(file, sweep).map(({ prompt, index }) => promptOf(file, prompt, index, sweep));
  if (prompts.length === 0) {
    throw new MechanistError('bad-input', 'There is no prompt to run. Write one under the front matter.');
  }
  const { kind, method, metric } = sweep;
  return { ...kind, model, prompts, method, ...(metric && { metric }) };
}

/** Sites that have one cell for each head. */
export function isHeadSite(site: PatchRequest['site']): boolean {
  return site === 'z' || site === 'q' || site === 'k' || site === 'v' || site === 'pattern';
}

/** Cells of a sweep's grid. `positions`: tokens of the longest prompt. */
export function cellsOfSweep(kind: SweepKind, info: ModelInfo, positions: number): number {
  if (kind.analysis === 'path-patch') return info.nLayers * info.nHeads;
  if (kind.analysis === 'ablate') {
    if (kind.sites === 'neurons') return info.dMlp;
    if (kind.sites === 'mlps') return info.nLayers;
    return info.nLayers * (kind.sites === 'heads' ? info.nHeads : positions);
  }
  const heads = kind.site === 'k' || kind.site === 'v' ? info.nKeyValueHeads : info.nHeads;
  if (kind.heads) return positions * ('layer' in kind.heads ? heads : kind.heads.length);
  return info.nLayers * (isHeadSite(kind.site) ? heads : kind.byPosition ? positions : 1);
}

/** Runs of the model that a sweep takes, at most: shortcuts make many of them partial. */
export function forwardPasses(cells: number, prompts: number, method: GridDocument['method'], pair: boolean): number {
  const clean = prompts * (pair ? 2 : 1);
  if (method === 'exact') return clean + cells * prompts;
  // A backward pass costs about two forward passes.
  const estimate = clean + 2 * prompts;
  return method === 'attribution' ? estimate : estimate + Math.min(20, cells) * prompts;
}

/** What tells a metric from the usual one: nothing, `max-foil`, `kl`, `log-prob.normalised`. */
function metricParts(metric: MetricSpec | undefined): string[] {
  if (metric === undefined) return [];
  const { kind, normalize } = metric;
  const own = kind !== 'logit-difference' ? [kind] : metric.foil === 'max' ? ['max-foil'] : [];
  return [...own, ...(normalize === undefined ? [] : [`share-${normalize === 'denoising' ? 'restored' : 'lost'}`])];
}

/** `L9`, `L9H6`, `3-heads`: rows of a grid by position, in a file's name. */
function headsName(heads: NonNullable<PatchRequest['heads']>): string {
  if ('layer' in heads) return `L${heads.layer}`;
  const [first] = heads;
  return heads.length === 1 && first ? `L${first.layer}H${first.head}` : `${heads.length}-heads`;
}

/** Foils that an answer of the sweep has at most, as the file is now. Files without observable compare two tokens. */
export function mostFoils(file: PromptFile, answer: string | null): number {
  const words = file.frontMatter?.observable?.words;
  if (!words) return 1;
  return scoredOf(
    words.map(({ value, weight }) => ({ text: value, weight })),
    answer,
  ).foils.length;
}

/** `ablate.heads.zero`: the middle of a result's file name. */
export function sweepName(request: GridRequest): string {
  const { method = 'exact' } = request;
  const parts =
    request.analysis === 'ablate'
      ? ['ablate', request.sites, request.meanOver === 'position' ? 'mean-over-positions' : request.mode]
      : request.analysis === 'patch'
        ? [
            'patch',
            request.site,
            ...(request.heads ? [headsName(request.heads)] : []),
            request.direction ?? 'denoising',
          ]
        : ['paths', request.receivers === 'final' ? 'final' : 'heads', request.mlps];
  return [...parts, ...metricParts(request.metric), ...(method === 'exact' ? [] : [method])].join('.');
}

/** `3 tokens against 4; they part at position 2: ␣Mary, ␣Anna`: why two prompts cannot be patched. Null when they can. */
export function unlikeLengths(clean: readonly string[], corrupted: readonly string[]): string | null {
  if (clean.length === corrupted.length) return null;
  const at = clean.findIndex((text, i) => text !== corrupted[i]);
  const place = at < 0 ? clean.length : at;
  const show = (text: string | undefined) => (text === undefined ? 'the end' : JSON.stringify(text));
  return `${clean.length} tokens against ${corrupted.length}; they part at position ${place + 1}: ${show(clean[place])}, ${show(corrupted[place])}`;
}
