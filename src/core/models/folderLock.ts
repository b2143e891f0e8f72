import { type FileHandle, mkdir, open, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MechanistError } from '../../shared/errors.ts';
import { systemErrorCode, writeFailure } from './fileErrors.ts';

/** A lock whose owner has not been heard of for so long, in milliseconds, belongs to a process that died. */
const STALE_MS = 30_000;
const HEARTBEAT_MS = 5_000;
const RETRY_MS = 300;

async function isStale(path: string): Promise<boolean> {
  return await stat(path).then(
    ({ mtimeMs }) => Date.now() - mtimeMs > STALE_MS,
    () => false,
  );
}

async function acquire(path: string, signal: AbortSignal, onWait: () => void): Promise<FileHandle> {
  for (;;) {
    try {
      return await open(path, 'wx');
    } catch (error) {
      if (systemErrorCode(error) !== 'EEXIST') throw writeFailure(path, error);
    }
    if (await isStale(path)) {
      await rm(path, { force: true });
      continue;
    }
    onWait();
    await sleep(RETRY_MS, undefined, { signal }).catch(() => {
      throw new MechanistError('cancelled', 'Cancelled.');
    });
  }
}

/**
 * Runs `job` while no other process does so in the same folder: two downloads would write into one part file.
 * A lock left by a process that died is taken over after half a minute.
 */
export async function withFolderLock<T>(
  folder: string,
  signal: AbortSignal,
  onWait: () => void,
  job: () => Promise<T>,
): Promise<T> {
  const path = join(folder, '.lock');
  await mkdir(folder, { recursive: true }).catch((error: unknown) => {
    throw writeFailure(folder, error);
  });
  const handle = await acquire(path, signal, onWait);
  const heartbeat = setInterval(() => {
    const now = new Date();
    void utimes(path, now, now).catch(() => undefined);
  }, HEARTBEAT_MS);
  try {
    return await job();
  } finally {
    clearInterval(heartbeat);
    await handle.close();
    await rm(path, { force: true });
  }
}
