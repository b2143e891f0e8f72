import { corrupt } from './fileErrors.ts';

/** Largest value that any size in a config may have: far above every real model, far below what would exhaust memory. */
const maxSize = 2 ** 31;

/** Typed access to the keys of a config (JSON object or GGUF metadata), with errors that name file and key. */
export class ConfigReader {
  constructor(
    readonly file: string,
    private readonly values: ReadonlyMap<string, unknown>,
  ) {}

  has(key: string): boolean {
    const value = this.values.get(key);
    return value !== undefined && value !== null;
  }

  raw(key: string): unknown {
    return this.values.get(key) ?? undefined;
  }

  /** A whole number ≥ 1. Without `fallback` the key must be there. @throws model-corrupt */
  size(key: string, fallback?: number): number {
    const value = this.number(key, fallback);
    if (!Number.isInteger(value) || value < 1 || value > maxSize) {
      throw corrupt(this.file, `"${key}" is ${value}, which is not a size`, { key });
    }
    return value;
  }

  /** A finite number. Without `fallback` the key must be there. @throws model-corrupt */
  number(key: string, fallback?: number): number {
    const stored = this.raw(key);
    const value = typeof stored === 'bigint' ? Number(stored) : stored;
    if (value === undefined) {
      if (fallback !== undefined) return fallback;
      throw corrupt(this.file, `"${key}" is missing`, { key });
    }
    if (typeof value !== 'number' || !Number.isFinite(value)) {
      throw corrupt(this.file, `"${key}" is not a number`, { key });
    }
    return value;
  }

  /** A finite number, or null where the key is absent. @throws model-corrupt */
  optionalNumber(key: string): number | null {
    return this.has(key) ? this.number(key) : null;
  }

  flag(key: string, fallback: boolean): boolean {
    const value = this.raw(key);
    if (value === undefined) return fallback;
    if (typeof value !== 'boolean') throw corrupt(this.file, `"${key}" is neither true nor false`, { key });
    return value;
  }

  text(key: string, fallback: string): string {
    const value = this.raw(key);
    if (value === undefined) return fallback;
    if (typeof value !== 'string') throw corrupt(this.file, `"${key}" is not a text`, { key });
    return value;
  }

  /** The object under `key` as a reader of its own; an empty one where the key is absent. */
  object(key: string): ConfigReader {
    const value = this.raw(key);
    if (value === undefined) return new ConfigReader(this.file, new Map());
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw corrupt(this.file, `"${key}" is not an object`, { key });
    }
    return new ConfigReader(this.file, new Map(Object.entries(value)));
  }
}
