import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { ObservableSpec } from '../../shared/engineProtocol.ts';
import { MechanistError } from '../../shared/errors.ts';
import { observablesIn } from '../tasks/experiment/experimentObservables.ts';
import { textsIn } from '../tasks/experiment/textsIn.ts';
import type { NamedSpecs } from '../tasks/namedObservables.ts';
import { nearestWord } from '../tasks/nearestWord.ts';
import { type PieceTokenizer, type ResolvedObservable, resolveObservable } from '../tasks/observable.ts';
import type { StepContext, StepFile } from './stepKind.ts';

/** What a step may name in its parameters beside circuits. */
export type StepSources = Pick<StepContext, 'observable' | 'file'>;

/** Finds observables by name, or takes them as they are written. */
function observableFinder(
  named: NamedSpecs,
  tokenizer: PieceTokenizer,
): (ref: string | ObservableSpec) => ResolvedObservable {
  return (ref) => {
    if (typeof ref !== 'string') return resolveObservable(ref, tokenizer);
    if (Object.hasOwn(named, ref)) return resolveObservable(named[ref], tokenizer);
    const near = nearestWord(ref, Object.keys(named));
    const hint = near === undefined || near === null ? '' : ` Did you mean ${near}?`;
    const message = `There is no observable "${ref}".${hint} Name it under observables:, as ${ref}: { " she": 1, " he": -1 }.`;
    throw new MechanistError('bad-input', message);
  };
}

/** Sources of a step that runs outside of an experiment: observables written out, no files. */
export function noSources(tokenizer: PieceTokenizer): StepSources {
  const file = (name: string): StepFile => {
    throw new MechanistError('internal', `The file "${name}" was asked for outside of an experiment.`);
  };
  return { observable: observableFinder({}, tokenizer), file };
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

/** Hashes of files, made again only when size or time of a file changed. */
export class FileHashes {
  readonly #known = new Map<string, { readonly identity: string; readonly hash: string }>();

  /** @throws MechanistError `bad-input` when it cannot be read */
  async read(name: string, folder: string): Promise<StepFile> {
    const path = resolve(folder, name);
    try {
      const { size, mtimeMs } = await stat(path);
      const identity = `${size} ${mtimeMs}`;
      const known = this.#known.get(path);
      const hash = known?.identity === identity ? known.hash : await hashOf(path);
      this.#known.set(path, { identity, hash });
      return { path, hash };
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      const message = `The file ${name} cannot be read: ${reason}. Put it beside the experiment, or change its name.`;
      throw new MechanistError('bad-input', message);
    }
  }
}

/** Observables and files that one step names. */
export class SourcesOfStep implements StepSources {
  readonly #files = new Map<string, StepFile>();

  private constructor(
    readonly observable: StepSources['observable'],
    /** The named ones that the step mentions. */
    private readonly observables: NamedSpecs,
  ) {}

  /**
   * @param files as the step's kind names them
   * @throws MechanistError `bad-input` when a file cannot be read
   */
  static async read(
    params: unknown,
    files: readonly string[],
    from: {
      readonly named: NamedSpecs;
      readonly tokenizer: PieceTokenizer;
      readonly folder: string;
      readonly hashes: FileHashes;
    },
  ): Promise<SourcesOfStep> {
    const mentioned = observablesIn(textsIn(params), from.named);
    const sources = new SourcesOfStep(observableFinder(from.named, from.tokenizer), mentioned);
    for (const name of new Set(files)) sources.#files.set(name, await from.hashes.read(name, from.folder));
    return sources;
  }

  readonly file = (name: string): StepFile => {
    const found = this.#files.get(name);
    if (found !== undefined) return found;
    throw new MechanistError('internal', `The file "${name}" was not announced by its step.`);
  };

  /** What a cell's numbers depend on of these; empty where the step names none. */
  get key(): readonly unknown[] {
    const files = [...this.#files].map(([name, { hash }]) => [name, hash]);
    return Object.keys(this.observables).length + files.length === 0 ? [] : [this.observables, files];
  }
}
