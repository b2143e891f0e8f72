import { groupRows } from '../experiments/steps/taskRows.ts';
import type { Tokenizer } from '../models/tokenizer.ts';
import { type Corpus, type CorpusShare, documentsOf } from './corpus.ts';

/** Tokens of a text that are run together. */
export interface CorpusWindow {
  readonly ids: readonly number[];
  /** First position that is read: not the BOS, nor the first token of a window, which many models use as a place to rest attention on. */
  readonly first: number;
}

/** Windows of a share. */
export interface ShareWindows {
  readonly windows: readonly CorpusWindow[];
  /** Tokens of text, BOS apart. */
  readonly tokens: number;
  readonly documents: number;
  /** The limit of tokens was reached. */
  readonly cut: boolean;
}

/** Longest window, as in the authors' runs. */
const WINDOW = 128;

/** @param ids of text, without BOS */
function windowsOf(ids: readonly number[], bos: readonly number[], length: number): readonly CorpusWindow[] {
  const size = length - bos.length;
  return Array.from({ length: Math.ceil(ids.length / size) }, (_, i) => ({
    ids: [...bos, ...ids.slice(i * size, (i + 1) * size)],
    first: bos.length + 1,
  })).filter((window) => window.ids.length > window.first);
}

/**
 * Documents of a share as windows of at most 128 tokens (fewer where the context is shorter), each with the BOS that the tokenizer
 * adds. Windows do not go over the end of a document.
 * @throws MechanistError `bad-input` as `documentsOf`
 */
export async function shareWindows(
  { tokenizer, config }: { readonly tokenizer: Tokenizer; readonly config: { readonly nCtx: number } },
  corpus: Corpus,
  share: CorpusShare,
): Promise<ShareWindows> {
  const length = Math.min(WINDOW, config.nCtx);
  const own = tokenizer.addsBos ? 1 : 0;
  const windows: CorpusWindow[] = [];
  let [tokens, documents] = [0, 0];
  for await (const { text } of documentsOf(corpus, share)) {
    const left = share.tokens - tokens;
    if (left <= 0) return { windows, tokens, documents, cut: true };
    const ids = tokenizer.encode(text, left + own).map(({ id }) => id);
    const body = ids.slice(own, own + left);
    windows.push(...windowsOf(body, ids.slice(0, own), length));
    tokens += body.length;
    documents += 1;
  }
  return { windows, tokens, documents, cut: tokens >= share.tokens };
}

/** Windows of one length, in batches of about 2048 tokens. */
export function windowBatches(windows: readonly CorpusWindow[]): readonly (readonly CorpusWindow[])[] {
  const byLength = groupRows([...windows.keys()], (i) => String(windows[i].ids.length));
  return byLength.flatMap((rows) => {
    const own = rows.map((i) => windows[i]);
    const size = Math.max(1, Math.floor(BATCH_TOKENS / own[0].ids.length));
    return Array.from({ length: Math.ceil(own.length / size) }, (_, i) => own.slice(i * size, (i + 1) * size));
  });
}

const BATCH_TOKENS = 2048;
