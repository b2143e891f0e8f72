import { count } from '../../../shared/format.ts';
import type { StepContext } from '../../experiments/stepKind.ts';
import { type Corpus, type CorpusShare, corpusShares, openCorpus } from '../corpus.ts';
import type { CorpusExtent } from '../scoreShare.ts';

export interface CorpusParams {
  readonly corpus: string;
  readonly tokens?: number;
  readonly separator?: 'blank-line' | 'line';
}

const DEFAULT_TOKENS = 100_000;
/** Of a token of English, for forecasts. */
const TOKEN_BYTES = 4;

/** Parameters of steps that read a corpus. */
export const corpusSchemas = {
  corpus: {
    type: 'string',
    description:
      'Texts that are read, a file beside the experiment: .txt, or .jsonl with {"text": "…"} a line. In windows of at most 128 tokens; the first token of each is not counted.',
  },
  tokens: {
    type: 'integer',
    minimum: 1,
    default: DEFAULT_TOKENS,
    description: 'Tokens that are read at most, evenly from the whole file.',
  },
  separator: {
    enum: ['blank-line', 'line'],
    default: 'blank-line',
    description: 'What parts documents of a .txt file.',
  },
} as const;

/** @throws MechanistError `bad-input`: missing, empty, binary, or another kind of file */
export function corpusOf(
  context: StepContext,
  { corpus, tokens, separator = 'blank-line' }: CorpusParams,
): {
  readonly corpus: Corpus;
  readonly shares: readonly CorpusShare[];
  /** About how many forward passes of the data reading it costs. */
  readonly passes: number;
} {
  const found = openCorpus(corpus, context.file(corpus), separator);
  const limit = tokens ?? DEFAULT_TOKENS;
  const ofData = context.task.items.reduce((sum, { ids }) => sum + ids.length, 0);
  const passes = Math.min(limit, found.bytes / TOKEN_BYTES) / Math.max(1, ofData);
  return { corpus: found, shares: corpusShares(found, limit), passes };
}

/** `91,032 tokens of 1,204 documents of names.txt` */
export function extentWords(name: string, { tokens, documents }: CorpusExtent): string {
  return `${count(tokens)} tokens of ${count(documents)} document${documents === 1 ? '' : 's'} of ${name}`;
}

export function extentWarnings(name: string, { cut }: CorpusExtent): readonly string[] {
  return cut ? [`${name} holds more text than was read: raise tokens: to read on.`] : [];
}
