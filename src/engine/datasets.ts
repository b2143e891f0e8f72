import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { DatasetBook } from '../core/tasks/datasetBook.ts';
import type { DatasetRowView, DatasetSource, DatasetSummary, RowsQuestion } from '../shared/datasetView.ts';
import { MechanistError } from '../shared/errors.ts';
import { bytes } from '../shared/format.ts';
import type { RequestContext } from '../shared/rpc.ts';
import { keepRecent } from './keepRecent.ts';
import type { Vocabularies } from './vocabularies.ts';

/** A file larger than this is checked by the command line, which streams it. */
const LARGEST_BYTES = 256e6;

async function readText({ path, text }: DatasetSource): Promise<string> {
  if (text !== undefined) return text;
  if (path === null) return '';
  const read = async () => {
    const { size } = await stat(path);
    if (size > LARGEST_BYTES) {
      const message = `${path} has ${bytes(size)}: too large to look at. \`mechanist dataset check\` streams it.`;
      throw new MechanistError('bad-input', message);
    }
    return await readFile(path, 'utf8');
  };
  return await read().catch((error: unknown) => {
    if (error instanceof MechanistError) throw error;
    throw new MechanistError('bad-input', `${path} cannot be read: ${(error as Error).message}`);
  });
}

const pause = () => new Promise<void>((resolve) => setImmediate(resolve));

/** The datasets that editors look at. Needs a model's tokenizer only: no weights, no turn in the queue of runs. */
export class Datasets {
  readonly #vocabularies: Vocabularies;
  readonly #books = new Map<string, DatasetBook>();

  constructor(vocabularies: Vocabularies) {
    this.#vocabularies = vocabularies;
  }

  /** Reads a file, or what an editor has of it, and says what is wrong with it. */
  async check(source: DatasetSource, { signal }: Pick<RequestContext, 'signal'>): Promise<DatasetSummary> {
    const { model } = source;
    const reader = model === null ? null : await this.#vocabularies.reader(model);
    const text = await readText(source);
    const key = createHash('sha256')
      .update(JSON.stringify([model, source.path]))
      .update(text)
      .digest('hex');
    const book = this.#books.get(key) ?? (await DatasetBook.read(text, { key, model, reader, signal, pause }));
    keepRecent(this.#books, key, book);
    return book.summary;
  }

  /** Rows of a file that was checked; null when it is no longer known. */
  rows(key: string, question: RowsQuestion): readonly DatasetRowView[] | null {
    return this.#books.get(key)?.rows(question) ?? null;
  }
}
