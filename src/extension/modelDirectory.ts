import { isModelPath, resolveModelName } from '../core/tasks/modelName.ts';
import { nearestWord } from '../core/tasks/nearestWord.ts';
import type { TermCheck } from '../shared/engineProtocol.ts';
import { bytes } from '../shared/format.ts';
import type { ModelInfo, ModelListing } from '../shared/modelInfo.ts';
import type { OnProgress } from '../shared/progress.ts';
import { Emitter } from './emitter.ts';
import type { EnginePort } from './engineClient.ts';

/** Which model a prompt file is traced with, or why with none. */
export type ModelChoice =
  | {
      readonly kind: 'use';
      /** What the engine is asked for. */
      readonly ref: string;
      /** Until the engine has opened it. */
      readonly label: string;
      /** Set when the named model is not on this machine and this one stands in. */
      readonly insteadOf: Absent | null;
    }
  | { readonly kind: 'absent'; readonly absent: Absent };

/** A named model that cannot be used now. */
export interface Absent {
  readonly name: string;
  /** `remote`: it can be downloaded. `unknown`: nobody knows the name. `missing`: its folder or file has gone. */
  readonly why: 'remote' | 'unknown' | 'missing';
  readonly downloadBytes: number | null;
  /** A known name that may have been meant. */
  readonly nearest: string | null;
}

/** `smollm2-135m is not on this machine (98 MB to download)` */
export function describeAbsent(absent: Absent): string {
  if (absent.why === 'unknown') return `There is no model "${absent.name}"`;
  if (absent.why === 'missing') return `${absent.name} is no longer where it was`;
  const size = absent.downloadBytes === null ? '' : ` (${bytes(absent.downloadBytes)} to download)`;
  return `${absent.name} is not on this machine${size}`;
}

/** What models there are and which one a name means. Asks the engine, remembers its answers until `refresh`. */
export class ModelDirectory {
  readonly #port: EnginePort;
  readonly #changed = new Emitter<void>();
  readonly #loaded = new Map<string, Promise<ModelInfo>>();
  readonly #infos = new Map<string, Promise<ModelInfo>>();
  /** How terms tokenize, by model and text. */
  readonly #terms = new Map<string, Map<string, TermCheck>>();
  #listings: Promise<readonly ModelListing[]> | null = null;

  constructor(port: EnginePort) {
    this.#port = port;
  }

  /** Models were added, downloaded or removed. */
  readonly onDidChange = this.#changed.event;

  list(): Promise<readonly ModelListing[]> {
    if (this.#listings === null) {
      const asked = this.#port.request('models.list', null);
      this.#listings = asked;
      asked.catch(() => {
        if (this.#listings === asked) this.#listings = null;
      });
    }
    return this.#listings;
  }

  /** Which model to use for a file in `folder` that names `named`; `fallback` stands in when that one is not here. */
  async choose(named: string, fallback: string, folder: string | null): Promise<ModelChoice> {
    const listings = await this.list();
    const first = pick(named, folder, listings);
    if (first.kind === 'use' || fallback === '' || first.absent.why !== 'remote') return first;
    const second = pick(fallback, folder, listings);
    return second.kind === 'use' ? { ...second, insteadOf: first.absent } : first;
  }

  /** The model that would be used, as `choose` says; null where there is none, or no engine to ask. */
  async find(named: string, fallback: string, folder: string | null): Promise<string | null> {
    const choice = await this.choose(named, fallback, folder).catch(() => null);
    return choice?.kind === 'use' ? choice.ref : null;
  }

  /** Opens the model in the engine; the same promise for everyone. Not cancelled by edits: the next trace needs it too. */
  load(ref: string, onProgress?: OnProgress): Promise<ModelInfo> {
    return kept(this.#loaded, ref, () => this.#port.request('models.load', { model: ref }, { onProgress }));
  }

  /** Layers, heads and sizes of a model, from its headers: it need not be open. */
  info(ref: string): Promise<ModelInfo> {
    return kept(this.#infos, ref, () => this.#port.request('models.info', { model: ref }));
  }

  /** How texts tokenize, at least these; each is asked for once. */
  async checkTerms(ref: string, texts: readonly string[]): Promise<ReadonlyMap<string, TermCheck>> {
    const known = this.#terms.get(ref) ?? new Map<string, TermCheck>();
    this.#terms.set(ref, known);
    const terms = [...new Set(texts)].filter((text) => !known.has(text));
    if (terms.length === 0) return known;
    for (const check of await this.#port.request('checkTerms', { model: ref, terms })) known.set(check.text, check);
    return known;
  }

  /** After a download, an added model, or an engine that was started again. */
  refresh(): void {
    this.#listings = null;
    this.#loaded.clear();
    this.#infos.clear();
    this.#terms.clear();
    this.#changed.fire();
  }
}

/** What was asked before, unless it failed; else what `ask` answers. */
function kept<T>(known: Map<string, Promise<T>>, key: string, ask: () => Promise<T>): Promise<T> {
  const answer = known.get(key) ?? ask();
  known.set(key, answer);
  answer.catch(() => {
    if (known.get(key) === answer) known.delete(key);
  });
  return answer;
}

function pick(name: string, folder: string | null, listings: readonly ModelListing[]): ModelChoice {
  const ref = resolveModelName(name, folder);
  const listing = listings.find((l) => l.ref === ref);
  if (listing?.state === 'ready' || listing?.state === 'bundled') {
    return { kind: 'use', ref, label: listing.label, insteadOf: null };
  }
  if (!listing && isModelPath(name)) return { kind: 'use', ref, label: name, insteadOf: null };
  const why = listing?.state === 'remote' ? 'remote' : listing ? 'missing' : 'unknown';
  const nearest =
    why === 'unknown'
      ? nearestWord(
          name,
          listings.map((l) => l.ref),
        )
      : null;
  return { kind: 'absent', absent: { name, why, downloadBytes: listing?.downloadBytes ?? null, nearest } };
}
