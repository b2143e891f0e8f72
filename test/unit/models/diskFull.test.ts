import type * as FileSystem from 'node:fs/promises';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { openModelFiles } from '../../../src/core/models/openModelFiles.ts';
import { llamaGguf } from '../../support/smallModels.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

const disk = vi.hoisted(() => ({ freeBytes: Number.POSITIVE_INFINITY, failAfterBytes: Number.POSITIVE_INFINITY }));

vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof FileSystem>();
  return {
    ...real,
    statfs: async (path: string) => {
      const stats = await real.statfs(path);
      return Number.isFinite(disk.freeBytes) ? { ...stats, bsize: 1, bavail: disk.freeBytes } : stats;
    },
    open: async (path: string, flags: string) => {
      const handle = await real.open(path, flags);
      if (!flags.includes('w')) return handle;
      let left = disk.failAfterBytes;
      const write = handle.write.bind(handle) as (...parameters: unknown[]) => Promise<{ bytesWritten: number }>;
      return Object.assign(handle, {
        write: async (buffer: Uint8Array, from: number, length: number) => {
          left -= length;
          if (left < 0) throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
          return write(buffer, from, length);
        },
      });
    },
  };
});

afterEach(() => {
  disk.freeBytes = Number.POSITIVE_INFINITY;
  disk.failAfterBytes = Number.POSITIVE_INFINITY;
});

async function open(cacheDir: string) {
  const file = join(temporaryFolder(), 'model.gguf');
  await writeFile(file, llamaGguf('llama-tied'));
  return openModelFiles(file, { ref: 'model', cacheDir, availableBytes: 8e9 });
}

describe('a full disk', () => {
  it('is noticed before the first byte is written', async () => {
    disk.freeBytes = 20_000;
    const cache = temporaryFolder();
    const error = await open(cache).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'disk-full', data: { freeBytes: 20_000 } });
    expect(String(error)).toContain('MECHANIST_CACHE');
    expect((await readdir(join(cache, 'prepared'), { recursive: true })).filter((name) => name.includes('.'))).toEqual(
      [],
    );
  });

  it('in the middle of writing leaves nothing behind, and works once there is space', async () => {
    disk.failAfterBytes = 50_000;
    const cache = temporaryFolder();
    await expect(open(cache)).rejects.toMatchObject({ code: 'disk-full' });
    expect((await readdir(join(cache, 'prepared'), { recursive: true })).filter((name) => name.includes('.'))).toEqual(
      [],
    );
    disk.failAfterBytes = Number.POSITIVE_INFINITY;
    await open(cache);
  });
});
