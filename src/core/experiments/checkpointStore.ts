import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { systemErrorCode, writeFailure } from '../models/fileErrors.ts';
import { writeFileAtomically } from '../models/writeFileAtomically.ts';
import { readCell, writeCell } from './cellJson.ts';
import { makePartsFolder } from './cellStore.ts';
import type { CellResult } from './stepKind.ts';

/** What a cell that is not finished has left, as a file beside the finished cells. */
export interface StoredCheckpoint {
  /** What it was made with: see `stepKey`. */
  readonly key: string;
  readonly cell: string;
  /** Spent on the cell so far. */
  readonly seconds: number;
  readonly state: CellResult;
}

/** As a part of a file name: no dots, which part the names of step, cell and key. */
function nameOf(id: string): string {
  return encodeURIComponent(id).replaceAll('.', '%2E').replaceAll('*', '%2A');
}

/** What file names say of a key, sha256 in hexadecimal. */
const keyPart = (key: string): string => key.slice(0, 12);

function fileName(step: string, { key, cell }: Pick<StoredCheckpoint, 'key' | 'cell'>): string {
  return `${step}.${nameOf(cell)}.${keyPart(key)}.checkpoint.json`;
}

/** Keeps the last state of a cell. @throws MechanistError `disk-full`, `bad-input` (no permission) */
export async function writeCheckpoint(folder: string, step: string, checkpoint: StoredCheckpoint): Promise<void> {
  const path = join(folder, fileName(step, checkpoint));
  await makePartsFolder(folder).catch((error: unknown) => {
    throw writeFailure(path, error);
  });
  await writeFileAtomically(path, writeCell(checkpoint));
}

export async function removeCheckpoint(
  folder: string,
  step: string,
  of: Pick<StoredCheckpoint, 'key' | 'cell'>,
): Promise<void> {
  await rm(join(folder, fileName(step, of)), { force: true });
}

function stored(text: string): StoredCheckpoint | null {
  try {
    const value = readCell(text) as Partial<StoredCheckpoint> | null;
    const { key, cell, seconds, state } = value ?? {};
    if (typeof key !== 'string' || typeof cell !== 'string' || typeof seconds !== 'number') return null;
    return typeof state === 'object' && state !== null ? { key, cell, seconds, state } : null;
  } catch {
    return null;
  }
}

/** What the cells of a step left that were made with `key`, by id. A file that cannot be read is none. */
export async function readCheckpoints(
  folder: string,
  step: string,
  key: string,
): Promise<Map<string, StoredCheckpoint>> {
  const names = await readdir(folder).catch((error: unknown) => {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw error;
  });
  const found = new Map<string, StoredCheckpoint>();
  // Those of other keys are other searches' states: they may be large and many.
  const ending = new RegExp(`^\\.[^.]+\\.${keyPart(key)}\\.checkpoint\\.json$`);
  for (const name of names) {
    if (!name.startsWith(`${step}.`) || !ending.test(name.slice(step.length))) continue;
    const checkpoint = stored(await readFile(join(folder, name), 'utf8').catch(() => ''));
    if (checkpoint?.key === key) found.set(checkpoint.cell, checkpoint);
  }
  return found;
}
