import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openModelFiles, readModelInfo } from '../../../src/core/models/openModelFiles.ts';
import { MechanistError } from '../../../src/shared/errors.ts';
import { gpt2With, openOptions } from '../../support/modelRefusal.ts';
import { llamaGguf, modelFolder, referenceModels } from '../../support/smallModels.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

const gpt2Bytes = readFileSync(join(referenceModels, 'gpt2', 'model.safetensors'));

/** Seeded: the same damage in every run. */
function* damaged(bytes: Buffer, count: number, header: number): Generator<Buffer> {
  let state = 12345;
  const dice = (below: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  for (let i = 0; i < count; i++) {
    if (i % 4 === 0) {
      yield bytes.subarray(0, dice(i % 8 === 0 ? header : bytes.length));
      continue;
    }
    const copy = Buffer.from(bytes);
    const flips = 1 + dice(3);
    for (let flip = 0; flip < flips; flip++) copy[dice(header)] ^= 1 << dice(8);
    // Whole numbers replaced: lengths and counts that lie by much.
    if (i % 5 === 0) copy.writeUInt32LE(dice(2) ? 0xffffffff : dice(2 ** 31), dice(header - 4));
    yield copy;
  }
}

describe('damaged at random: a clear refusal or a model, never anything else', () => {
  async function survive(path: string, infoAgrees = false): Promise<'opened' | 'refused'> {
    const cache = openOptions();
    const started = performance.now();
    const open = await openModelFiles(path, cache).then(
      ({ tokenizer }) => {
        tokenizer.encode('the nurse said 123');
        return 'opened' as const;
      },
      (error: unknown) => {
        if (!(error instanceof MechanistError) || error.code === 'internal') throw error;
        return 'refused' as const;
      },
    );
    const info = await readModelInfo(path, cache).catch((error: unknown) => {
      if (!(error instanceof MechanistError) || error.code === 'internal') throw error;
      return null;
    });
    // The tokenizer is not read for the info.
    if (infoAgrees) expect(info === null ? 'refused' : open).toBe(open);
    if (info === null) expect(open).toBe('refused');
    expect(performance.now() - started).toBeLessThan(10_000);
    return open;
  }

  it('safetensors, 400 times', async () => {
    const header = 8 + Number(gpt2Bytes.readBigUInt64LE(0));
    const outcomes = { opened: 0, refused: 0 };
    const folder = await gpt2With({});
    for (const bytes of damaged(gpt2Bytes, 400, header)) {
      await writeFile(join(folder, 'model.safetensors'), bytes);
      outcomes[await survive(folder)] += 1;
    }
    expect(outcomes.refused).toBeGreaterThan(200);
  });

  it.each(['config.json', 'tokenizer.json'])('%s, 200 times', async (name) => {
    const bytes = readFileSync(join(referenceModels, 'llama-tied', name));
    const folder = await modelFolder(temporaryFolder(), 'llama-tied', {
      'model.safetensors': readFileSync(join(referenceModels, 'llama-tied', 'model.safetensors')),
    });
    for (const damage of damaged(bytes, 200, bytes.length)) {
      await writeFile(join(folder, name), damage);
      await survive(folder, name === 'config.json');
    }
  });

  it('GGUF, 300 times', async () => {
    const bytes = llamaGguf('llama-tied');
    const header = bytes.length - 32 * 1024 * 3;
    const outcomes = { opened: 0, refused: 0 };
    const file = join(temporaryFolder(), 'model.gguf');
    for (const damage of damaged(bytes, 300, header)) {
      await writeFile(file, damage);
      outcomes[await survive(file)] += 1;
    }
    expect(outcomes.refused).toBeGreaterThan(75);
    expect(outcomes.opened).toBeGreaterThan(10);
  });
});
