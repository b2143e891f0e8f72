import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MechanistError } from '../../shared/errors.ts';
import { systemErrorCode } from './fileErrors.ts';

/** Logits that Hugging Face transformers computes in float32, made by `scripts/reference/makeReference.py`. */
export interface ReferenceLogits {
  readonly schemaVersion: 1;
  /** sha256 of the weight file they belong to. */
  readonly modelHash: string;
  /** `transformers 5.23.0, torch 2.15.0, float32` */
  readonly reference: string;
  readonly tolerance: number;
  readonly prompts: readonly {
    readonly ids: readonly number[];
    /** Vocabulary entries, and their logits at the last position. */
    readonly sampleIds: readonly number[];
    readonly logits: readonly number[];
  }[];
}

/**
 * The stored reference of a catalogue model: `<bundledDir>/reference/<id>.json`.
 * @throws MechanistError `bad-input` for a model that has none.
 */
export async function readReferenceLogits(bundledDir: string, id: string): Promise<ReferenceLogits> {
  const path = join(bundledDir, 'reference', `${id}.json`);
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
    throw new MechanistError(
      'bad-input',
      `There are no reference logits for ${id}. Only models of the catalogue that come with a reference can be verified.`,
    );
  });
  const data = JSON.parse(text) as ReferenceLogits;
  if (data.schemaVersion !== 1) {
    throw new MechanistError('bad-input', `${path} is of version ${data.schemaVersion}; this program reads version 1.`);
  }
  return data;
}
