import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openModelFiles, readModelInfo } from '../../../src/core/models/openModelFiles.ts';
import { openOptions } from '../../support/modelRefusal.ts';
import { llamaGguf } from '../../support/smallModels.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

describe('limits', () => {
  it('refuses a model that is larger than memory, with both numbers, and writes nothing', async () => {
    const cacheDir = temporaryFolder();
    const file = join(temporaryFolder(), 'model.gguf');
    await writeFile(file, llamaGguf('llama-tied'));
    const few = { ...openOptions(cacheDir), availableBytes: 50e6 };
    const error = await openModelFiles(file, few).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'model-too-large', data: { availableBytes: 50e6 } });
    expect(String(error)).toMatch(/needs \d+ MB of memory, but 50 MB are available/);
    expect(await readdir(cacheDir)).toEqual([]);
    expect((await readModelInfo(file, few)).memory.fits).toBe(false);
  });

  it('leaves nothing behind when it is cancelled', async () => {
    const cacheDir = temporaryFolder();
    const file = join(temporaryFolder(), 'model.gguf');
    await writeFile(file, llamaGguf('llama-tied'));
    const controller = new AbortController();
    const onProgress = ({ label, done }: { label: string; done: number }) => {
      if (label.startsWith('Preparing') && done > 10_000) controller.abort();
    };
    await expect(
      openModelFiles(file, { ...openOptions(cacheDir), signal: controller.signal, onProgress }),
    ).rejects.toMatchObject({ code: 'cancelled' });
    const left = await readdir(join(cacheDir, 'prepared'), { recursive: true });
    expect(left.filter((name) => name.includes('safetensors'))).toEqual([]);
    await openModelFiles(file, openOptions(cacheDir));
  });
});
