import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { openModelFiles } from '../../src/core/models/openModelFiles.ts';
import { type ErrorCode, MechanistError } from '../../src/shared/errors.ts';
import { modelFolder, referenceModels } from './smallModels.ts';
import { temporaryFolder } from './temporaryFolder.ts';

/** Options for opening a model, with a cache of its own. */
export function openOptions(cacheDir = temporaryFolder()) {
  return { ref: 'model', cacheDir, availableBytes: 8e9 };
}

/** Opens a model that must be refused with this code, in words a person can use. */
export async function expectRefusal(path: string, code: ErrorCode, ...words: readonly string[]): Promise<void> {
  const error: unknown = await openModelFiles(path, openOptions()).then(
    () => new Error('It opened.'),
    (reason: unknown) => reason,
  );
  if (!(error instanceof MechanistError)) throw error;
  expect({ code: error.code, message: error.message }).toMatchObject({ code });
  for (const word of words) expect(error.message).toContain(word);
  expect(error.message).not.toContain('    at ');
}

/** The reference model `gpt2` with some files replaced. */
export async function gpt2With(files: Readonly<Record<string, Uint8Array | string>>): Promise<string> {
  const weights = readFileSync(join(referenceModels, 'gpt2', 'model.safetensors'));
  return modelFolder(temporaryFolder(), 'gpt2', { 'model.safetensors': weights, ...files });
}
