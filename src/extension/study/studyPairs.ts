import { specTerms } from '../../core/tasks/observable.ts';
import { MechanistError } from '../../shared/errors.ts';
import { signedFixed } from '../../shared/format.ts';
import type { PackedArray } from '../../shared/packedArray.ts';
import { scoredOf, unlikeLengths } from '../grid/sweep.ts';

/** One run of a pair: its tokens, and the observable there. */
export interface StudyRun {
  readonly text: string;
  readonly tokens: readonly { readonly id: number; readonly text: string }[];
  /** Logits. */
  readonly value: number;
  /** `[layer, head, source]`: what each head brings from each token. */
  readonly bySource: PackedArray;
}

/** A prompt and its partner. */
export interface StudyPair {
  /** 1-based prompt of the file. */
  readonly prompt: number;
  readonly clean: StudyRun;
  readonly corrupted: StudyRun;
}

/** What the observable scores: a right token, others as right, and those it is compared with. */
export interface StudyAnswer {
  readonly token: string;
  readonly also: readonly string[];
  readonly foils: readonly string[];
}

/** Role of the token in which a pair differs first. */
export const differsRole = 'differs';
/** Role of the token at which the observable is read. */
export const endRole = 'end';

/** The answer of an observable: its positive tokens against its negative ones. */
export function studyAnswer(spec: Readonly<Record<string, number>>): StudyAnswer {
  const terms = specTerms(spec);
  const { answer: token, foils } = scoredOf(terms, null);
  const also = terms.flatMap(({ text, weight }) => (weight > 0 && text !== token ? [text] : []));
  return { token, also, foils };
}

function differsAt({ prompt, clean, corrupted }: StudyPair): number {
  const texts = ({ tokens }: StudyRun) => tokens.map(({ text }) => text);
  const unlike = unlikeLengths(texts(clean), texts(corrupted));
  if (unlike !== null) {
    const message = `Prompt ${prompt} and its corrupted prompt are no pair: ${unlike}. Both need as many tokens.`;
    throw new MechanistError('bad-input', message);
  }
  const at = clean.tokens.findIndex(({ id }, i) => id !== corrupted.tokens[i]?.id);
  if (at >= 0) return at;
  throw new MechanistError(
    'bad-input',
    `Prompt ${prompt} and its corrupted prompt are the same. Change a word of one.`,
  );
}

/** The pair with the side first that the observable calls positive. */
function oriented(pair: StudyPair): StudyPair {
  const swap = pair.clean.value < 0 && pair.corrupted.value > 0;
  return swap ? { ...pair, clean: pair.corrupted, corrupted: pair.clean } : pair;
}

/**
 * Heads by what they bring from the token in which the pairs differ, clean − corrupted, mean over the pairs: the largest first.
 */
export function headsByDifference(pairs: readonly StudyPair[]): readonly string[] {
  const sums = new Map<string, number>();
  for (const pair of pairs) {
    const at = differsAt(pair);
    const { clean, corrupted } = oriented(pair);
    const [layers = 0, heads = 0, sources = 0] = clean.bySource.dims;
    for (let layer = 0; layer < layers; layer++) {
      for (let head = 0; head < heads && at < sources; head++) {
        const i = (layer * heads + head) * sources + at;
        const name = `L${layer}.H${head}`;
        const difference = (clean.bySource.data[i] ?? 0) - (corrupted.bySource.data[i] ?? 0);
        sums.set(name, (sums.get(name) ?? 0) + difference);
      }
    }
  }
  return [...sums].sort(([, a], [, b]) => Math.abs(b) - Math.abs(a)).map(([name]) => name);
}

/** Pairs whose observable has one sign on both sides, in a sentence; null when every pair flips it. */
export function unflipped(pairs: readonly StudyPair[]): string | null {
  const same = pairs.filter(({ clean, corrupted }) => clean.value > 0 === corrupted.value > 0);
  const [first] = same;
  if (first === undefined) return null;
  const values = `${signedFixed(first.clean.value)} and ${signedFixed(first.corrupted.value)} logits`;
  return `The observable keeps its sign in ${same.length} of ${pairs.length} pairs (prompt ${first.prompt}: ${values}). Features at the boundary need a pair that flips it.`;
}

/**
 * The pairs as a dataset: `clean` is the side that the observable calls positive; roles are the token in which a pair differs first
 * and the one where the observable is read.
 * @throws MechanistError `bad-input` for a pair of unlike token counts, with the place where they part, or of equal texts
 */
export function studyDataset(
  pairs: readonly StudyPair[],
  answer: StudyAnswer,
  about: { readonly name: string; readonly model: string; readonly position: number },
): string {
  const { name, model, position } = about;
  const { token, also, foils } = answer;
  const rows = pairs.map((pair) => {
    const { clean, corrupted } = oriented(pair);
    return {
      id: String(pair.prompt),
      ...{ clean: clean.text, corrupted: corrupted.text },
      roles: { [differsRole]: differsAt(pair), [endRole]: position },
      answers: [{ token, pos: position, foils, ...(also.length > 0 && { also }) }],
    };
  });
  const header = { dataset: { name, model, made: { by: 'Mechanist: Study Observable' } } };
  return [header, ...rows].map((line) => `${JSON.stringify(line)}\n`).join('');
}
