import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { MechanistError } from '../../shared/errors.ts';
import { bytes } from '../../shared/format.ts';
import type { ModelInfo, ModelListing } from '../../shared/modelInfo.ts';
import type { OnProgress } from '../../shared/progress.ts';
import { nearestWord } from '../tasks/nearestWord.ts';
import { AddedModels } from './addedModels.ts';
import { type CatalogueEntry, downloadBytes, memoryOf, readCatalogue } from './catalogue.ts';
import { fileSize } from './download.ts';
import { withFolderLock } from './folderLock.ts';
import { readModelSource } from './modelSource.ts';
import type { OpenModel } from './openModel.ts';
import { openModelFiles, type ReadModelInfoOptions, readModelInfo } from './openModelFiles.ts';
import { type PullOptions, pullFiles } from './pullModel.ts';
import { familyNamed, refuseFamily } from './supportedFamilies.ts';
import type { Tokenizer } from './tokenizer.ts';

export interface ModelStoreOptions {
  readonly cacheDir: string;
  /** Folder with `catalogue.json`, the bundled models and `reference/`. */
  readonly bundledDir: string;
  /** What relative paths are relative to. */
  readonly cwd: string;
  readonly availableBytes: () => number;
  readonly download: Pick<PullOptions, 'fetch' | 'hubUrl' | 'pip' | 'stallMs'>;
}

export interface LongJob {
  readonly signal: AbortSignal;
  readonly onProgress: OnProgress;
}

/** A model that is on this machine. */
export interface LocatedModel {
  /** As a person would write it: catalogue id, or absolute path. */
  readonly ref: string;
  /** Folder or `.gguf` file. */
  readonly path: string;
  readonly entry: CatalogueEntry | null;
}

/** The models a person can name: those that come with Mechanist, the catalogue, and files and folders anywhere. */
export class ModelStore {
  readonly #options: ModelStoreOptions;
  readonly #added: AddedModels;
  #catalogue: Promise<readonly CatalogueEntry[]> | null = null;

  constructor(options: ModelStoreOptions) {
    this.#options = options;
    this.#added = new AddedModels(options.cacheDir);
  }

  get bundledDir(): string {
    return this.#options.bundledDir;
  }

  /** Everything that can be named, bundled models first. */
  async list(): Promise<readonly ModelListing[]> {
    const entries = await Promise.all((await this.catalogue()).map((entry) => this.#listEntry(entry)));
    const added = await Promise.all(
      (await this.#added.list()).map(
        async ({ path, label, family, licence }): Promise<ModelListing> => ({
          ref: path,
          label,
          family,
          licence: licence ?? null,
          downloadBytes: null,
          state: (await exists(path)) ? 'ready' : 'missing',
          note: null,
          memory: null,
        }),
      ),
    );
    return [...entries, ...added];
  }

  async catalogue(): Promise<readonly CatalogueEntry[]> {
    this.#catalogue ??= readCatalogue(this.#options.bundledDir);
    return await this.#catalogue;
  }

  /** The catalogue entry that `ref` names, if any. */
  async entry(ref: string): Promise<CatalogueEntry | null> {
    return (await this.catalogue()).find(({ id }) => id === ref) ?? null;
  }

  /**
   * True when `ref` is a catalogue model whose files are not all here.
   * @throws MechanistError `model-unsupported` for families that cannot be run.
   */
  async needsPull(ref: string): Promise<boolean> {
    const entry = await this.entry(ref);
    if (entry === null) return false;
    this.#checkFamily(entry);
    return entry.files !== undefined && !(await this.#isComplete(entry));
  }

  /**
   * Finds a model on this machine. `ref` is a catalogue id, a folder, or a `.gguf` file.
   * @throws MechanistError `model-not-found` saying what to do; `model-unsupported` for families that cannot be run.
   */
  async locate(ref: string): Promise<LocatedModel> {
    const entry = await this.entry(ref);
    if (entry !== null) return await this.#locateEntry(entry);
    if (ref.trim() === '')
      throw new MechanistError(
        'model-not-found',
        'No model is named. Name one of the catalogue, a folder or a .gguf file.',
      );
    const path = resolve(this.#options.cwd, ref);
    const found = await stat(path).catch(() => null);
    if (found === null) throw await this.#unknown(ref, path);
    if (found.isFile() && !path.toLowerCase().endsWith('.gguf')) {
      throw new MechanistError(
        'model-unsupported',
        `${path} is not a .gguf file. Name a .gguf file, or the folder that holds config.json and the weights.`,
      );
    }
    return { ref: path, path, entry: null };
  }

  /** Reads headers only. */
  async info(ref: string): Promise<ModelInfo> {
    const located = await this.locate(ref);
    return await readModelInfo(located.path, this.#reading(located));
  }

  /**
   * Opens a model: reads config, tokenizer and places of the weights; casts the weights to float32 once, into the cache.
   * @param located from `locate`
   */
  async open(located: LocatedModel, job: LongJob): Promise<OpenModel> {
    return await openModelFiles(located.path, { ...this.#reading(located), ...job });
  }

  /**
   * The tokenizer of a model that is on this machine, and how many tokens it reads at most. Reads no weights.
   * @throws MechanistError as `locate`, and `model-corrupt`
   */
  async tokenizer(ref: string): Promise<{ readonly tokenizer: Tokenizer; readonly nCtx: number }> {
    const source = await readModelSource((await this.locate(ref)).path);
    return { tokenizer: await source.tokenizer(), nCtx: source.architecture.config.nCtx };
  }

  /** Path, size and time of change of the weights, so that a replaced file counts as another model. */
  async identityOf({ path }: LocatedModel): Promise<string> {
    const marks = await Promise.all(
      [
        path,
        join(path, 'model.safetensors'),
        join(path, 'model.safetensors.index.json'),
        join(path, 'config.json'),
      ].map(async (file) => {
        const found = await stat(file).catch(() => null);
        return found === null ? '' : `${found.size}@${found.mtimeMs}`;
      }),
    );
    return [path, ...marks].join('|');
  }

  /**
   * Downloads a catalogue model, or finishes a broken download; does nothing when it is here. Progress in bytes.
   * @throws MechanistError `model-not-found` (no such entry), and those of `pullFiles`.
   */
  async pull(id: string, { signal, onProgress }: LongJob): Promise<ModelInfo> {
    const entry = await this.entry(id);
    if (entry === null) throw await this.#unknown(id, null);
    this.#checkFamily(entry);
    if (entry.files !== undefined && !(await this.#isComplete(entry))) {
      const folder = this.#folderOf(entry);
      const onWait = () =>
        onProgress({ done: 0, total: downloadBytes(entry) ?? 0, label: 'another process is downloading it' });
      await withFolderLock(folder, signal, onWait, () =>
        pullFiles(entry, folder, { ...this.#options.download, signal, onProgress }),
      );
    }
    return await this.info(id);
  }

  /** Checks a local folder or `.gguf` file and remembers it. */
  async add(path: string): Promise<ModelInfo> {
    const located = await this.locate(path);
    const info = await this.info(path);
    if (located.entry === null) {
      const { label, family, licence } = info;
      await this.#added.add({ path: located.path, label, family, licence });
    }
    return info;
  }

  #folderOf(entry: CatalogueEntry): string {
    return entry.bundled === undefined
      ? join(this.#options.cacheDir, 'models', entry.id)
      : join(this.#options.bundledDir, entry.bundled);
  }

  async #isComplete(entry: CatalogueEntry): Promise<boolean> {
    const folder = this.#folderOf(entry);
    if (entry.files === undefined) return await exists(join(folder, 'config.json'));
    for (const file of entry.files) {
      const size = await fileSize(join(folder, file.name));
      if (size === 0 || (file.bytes !== null && size !== file.bytes)) return false;
    }
    return true;
  }

  #checkFamily(entry: CatalogueEntry): void {
    const family = familyNamed(entry.family);
    if (family === null) refuseFamily(entry.id, entry.family);
  }

  async #listEntry(entry: CatalogueEntry): Promise<ModelListing> {
    const here = await this.#isComplete(entry);
    const absent = entry.bundled === undefined ? 'remote' : 'missing';
    return {
      ref: entry.id,
      label: `${entry.id} ${entry.storedAs}`,
      family: entry.family,
      licence: entry.licence,
      downloadBytes: downloadBytes(entry),
      state: here ? (entry.bundled === undefined ? 'ready' : 'bundled') : absent,
      note: entry.note,
      memory: memoryOf(entry, this.#options.availableBytes()),
    };
  }

  async #locateEntry(entry: CatalogueEntry): Promise<LocatedModel> {
    this.#checkFamily(entry);
    const folder = this.#folderOf(entry);
    if (!(await this.#isComplete(entry))) {
      const size = downloadBytes(entry);
      throw new MechanistError(
        'model-not-found',
        entry.bundled === undefined
          ? `${entry.id} is not on this machine. Download it first (${bytes(size ?? 0)}, ${entry.licence}): ` +
              `"Mechanist: Add Model" in the editor, or \`mechanist models pull ${entry.id}\`.`
          : `The bundled model ${entry.id} is missing from ${folder}. Install Mechanist again.`,
        { id: entry.id, canPull: entry.bundled === undefined, downloadBytes: size },
      );
    }
    const [only] = entry.files ?? [];
    const path = entry.format === 'gguf' && only !== undefined ? join(folder, only.name) : folder;
    return { ref: entry.id, path, entry };
  }

  #reading({ ref, entry }: LocatedModel): ReadModelInfoOptions {
    const { cacheDir, availableBytes } = this.#options;
    const named = entry === null ? {} : { label: entry.id, licence: entry.licence };
    return { ref, cacheDir, availableBytes: availableBytes(), ...named };
  }

  async #unknown(ref: string, path: string | null): Promise<MechanistError> {
    const ids = (await this.catalogue()).map(({ id }) => id);
    const near = nearestWord(ref, ids);
    const place = path === null ? '' : `, and nothing is at ${path}`;
    return new MechanistError(
      'model-not-found',
      `There is no model "${ref}" in the catalogue${place}. ` +
        (near === null ? `The catalogue has ${ids.join(', ')}.` : `Did you mean ${near}?`),
      { ref, suggestion: near },
    );
  }
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}
