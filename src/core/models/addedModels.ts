import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomically } from './writeFileAtomically.ts';

/** A model that a person added by its path. */
export interface AddedModel {
  /** Absolute folder, or absolute `.gguf` file. */
  readonly path: string;
  readonly label: string;
  readonly family: string;
  readonly licence: string | null;
}

function isAdded(value: unknown): value is AddedModel {
  if (typeof value !== 'object' || value === null) return false;
  const { path, label, family } = value as Record<string, unknown>;
  return typeof path === 'string' && typeof label === 'string' && typeof family === 'string';
}

/** The list of added models: `<cacheDir>/added.json`. A list that cannot be read counts as empty. */
export class AddedModels {
  readonly #path: string;

  constructor(cacheDir: string) {
    this.#path = join(cacheDir, 'added.json');
  }

  async list(): Promise<readonly AddedModel[]> {
    try {
      const data: unknown = JSON.parse(await readFile(this.#path, 'utf8'));
      return Array.isArray(data) ? data.filter(isAdded) : [];
    } catch {
      return [];
    }
  }

  /** Adds a model, or renews what is known of it. */
  async add(model: AddedModel): Promise<void> {
    const others = (await this.list()).filter(({ path }) => path !== model.path);
    await writeFileAtomically(this.#path, `${JSON.stringify([...others, model], null, 2)}\n`);
  }
}
