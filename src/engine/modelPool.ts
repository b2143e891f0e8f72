import type { MemoryForecast } from '../shared/modelInfo.ts';

/** A model that holds memory. */
export interface PooledModel {
  /** Gives all its memory back; nothing runs on it afterwards. */
  close(): Promise<void>;
}

/** Which model, as it is on disk now. A file that was replaced is another model. */
export interface ModelIdentity {
  /** Path, size and time of change. */
  readonly key: string;
  /** Asked only before opening, and again after each model that is closed, as closing one changes it. */
  readonly forecast: () => Promise<MemoryForecast>;
}

/**
 * The models that are open, least recently used first. Opening one closes others only when memory would not suffice.
 * Callers take turns (RunQueue), so no model is closed while something runs on it.
 */
export class ModelPool<T extends PooledModel> {
  /** Insertion order is order of use. */
  readonly #open = new Map<string, T>();

  get size(): number {
    return this.#open.size;
  }

  /** The open model, without opening or waiting; marks nothing as used. */
  peek(key: string): T | undefined {
    return this.#open.get(key);
  }

  /** Whether this very model is still open. */
  has(model: T): boolean {
    return [...this.#open.values()].includes(model);
  }

  /**
   * The open model; `open` is called when it is not there yet, and refuses by itself what cannot fit even alone.
   */
  async get(identity: ModelIdentity, open: () => Promise<T>): Promise<T> {
    const found = this.#open.get(identity.key);
    if (found !== undefined) {
      this.#open.delete(identity.key);
      this.#open.set(identity.key, found);
      return found;
    }
    await this.#makeRoom(identity);
    const model = await open();
    this.#open.set(identity.key, model);
    return model;
  }

  async closeAll(): Promise<void> {
    for (const key of [...this.#open.keys()]) await this.#close(key);
  }

  async #makeRoom({ forecast }: ModelIdentity): Promise<void> {
    for (const key of [...this.#open.keys()]) {
      if ((await forecast()).fits) return;
      await this.#close(key);
    }
  }

  async #close(key: string): Promise<void> {
    const model = this.#open.get(key);
    this.#open.delete(key);
    await model?.close();
  }
}
