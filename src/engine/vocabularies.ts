import type { ModelStore } from '../core/models/modelStore.ts';
import type { DatasetReader } from '../core/tasks/datasetBook.ts';
import { checkTerms } from '../core/tasks/observable.ts';
import { TokenIndex } from '../core/tasks/tokenIndex.ts';
import type { TermCheck, TokenCompletion } from '../shared/engineProtocol.ts';
import { keepRecent } from './keepRecent.ts';

interface Vocabulary {
  readonly reader: DatasetReader;
  /** Made when it is first asked for. */
  index?: TokenIndex;
}

/** Tokenizers of models that may not be open: no weights are read, and no turn in the queue of runs is needed. */
export class Vocabularies {
  readonly #known = new Map<string, Promise<Vocabulary>>();

  /** @param opened the tokenizer of a model that is open, by its identity: it is not read again */
  constructor(
    private readonly store: Pick<ModelStore, 'locate' | 'identityOf' | 'tokenizer'>,
    private readonly opened: (key: string) => DatasetReader | undefined,
  ) {}

  /** @throws MechanistError as `ModelStore.tokenizer` */
  async reader(model: string): Promise<DatasetReader> {
    return (await this.#vocabulary(model)).reader;
  }

  /** How texts tokenize. @throws MechanistError as `ModelStore.tokenizer` */
  async checkTerms(model: string, terms: readonly string[]): Promise<TermCheck[]> {
    return checkTerms(terms, (await this.reader(model)).tokenizer);
  }

  /** Tokens that begin with a prefix. @throws MechanistError as `ModelStore.tokenizer` */
  async complete(model: string, prefix: string, limit: number): Promise<TokenCompletion[]> {
    const vocabulary = await this.#vocabulary(model);
    vocabulary.index ??= new TokenIndex(vocabulary.reader.tokenizer);
    return vocabulary.index.complete(prefix, limit);
  }

  async #vocabulary(model: string): Promise<Vocabulary> {
    const located = await this.store.locate(model);
    const key = await this.store.identityOf(located);
    const vocabulary = this.#known.get(key) ?? this.#read(located.ref, key);
    keepRecent(this.#known, key, vocabulary);
    vocabulary.catch(() => this.#known.delete(key));
    return await vocabulary;
  }

  async #read(ref: string, key: string): Promise<Vocabulary> {
    return { reader: this.opened(key) ?? (await this.store.tokenizer(ref)) };
  }
}
