import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { MechanistError } from '../../shared/errors.ts';
import type { CellShare } from '../../shared/experimentRun.ts';
import { systemErrorCode, writeFailure } from '../models/fileErrors.ts';
import { writeFileAtomically } from '../models/writeFileAtomically.ts';
import { readCell, writeCell } from './cellJson.ts';
import type { CellResult } from './stepKind.ts';

/** A finished cell as a line of a parts file. */
export interface StoredCell {
  /** What it was made with: see `stepKey`. */
  readonly key: string;
  readonly cell: string;
  readonly seconds: number;
  readonly result: CellResult;
}

/** Longest time until finished cells are on the disk for good, in milliseconds. A killed process loses none of them. */
const SYNC_MS = 1000;

export function partsFolder(results: string): string {
  return join(results, 'parts');
}

/** Parts are of use on the way only; the results beside them are what belongs into a repository. */
export async function makePartsFolder(folder: string): Promise<void> {
  const made = await mkdir(folder, { recursive: true });
  if (made !== undefined) await writeFileAtomically(join(folder, '.gitignore'), '*\n');
}

function fileName(step: string, share: CellShare | undefined): string {
  return share === undefined ? `${step}.jsonl` : `${step}.${share.index}of${share.of}.jsonl`;
}

/** True for the parts files of a step, whole or of a share. */
function belongsTo(name: string, step: string): boolean {
  return name.startsWith(`${step}.`) && /^\.(?:\d+of\d+\.)?jsonl$/.test(name.slice(step.length));
}

async function filesOf(folder: string, step: string): Promise<string[]> {
  try {
    return (await readdir(folder))
      .filter((name) => belongsTo(name, step))
      .sort()
      .map((name) => join(folder, name));
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw error;
  }
}

function storedCell(line: string): StoredCell | null {
  try {
    const value = readCell(line) as Partial<StoredCell> | null;
    const { key, cell, seconds, result } = value ?? {};
    if (typeof key !== 'string' || typeof cell !== 'string' || typeof seconds !== 'number') return null;
    return typeof result === 'object' && result !== null ? { key, cell, seconds, result } : null;
  } catch {
    return null;
  }
}

/** The cells in one parts file. A line that is torn, as a process that was killed leaves it, is no cell. */
async function* cellsIn(file: string): AsyncGenerator<StoredCell> {
  for await (const line of createInterface({ input: createReadStream(file, 'utf8'), crlfDelay: Infinity })) {
    const stored = storedCell(line);
    if (stored !== null) yield stored;
  }
}

/** Finished cells of a step that were made with `key`, by id: of every parts file in the folder, its own and those of shares. */
export async function readCells(folder: string, step: string, key: string): Promise<Map<string, StoredCell>> {
  const found = new Map<string, StoredCell>();
  for (const file of await filesOf(folder, step)) {
    for await (const stored of cellsIn(file)) {
      if (stored.key === key && !found.has(stored.cell)) found.set(stored.cell, stored);
    }
  }
  return found;
}

/** Forgets the cells of a step; of a share only its own. */
export async function removeCells(folder: string, step: string, share: CellShare | undefined): Promise<void> {
  const files = share === undefined ? await filesOf(folder, step) : [join(folder, fileName(step, share))];
  for (const file of files) await rm(file, { force: true });
}

/** The parts file that a run appends to, cell by cell. Made with the first cell. */
export class CellWriter {
  readonly #path: string;
  #handle: FileHandle | null = null;
  #synced = Date.now();

  constructor(folder: string, step: string, share?: CellShare) {
    this.#path = join(folder, fileName(step, share));
  }

  /** @throws MechanistError `disk-full`, `bad-input` (no permission) */
  async append(stored: StoredCell): Promise<void> {
    try {
      this.#handle ??= await this.#open();
      await this.#handle.appendFile(`${writeCell(stored)}\n`);
      if (Date.now() - this.#synced < SYNC_MS) return;
      await this.#handle.datasync();
      this.#synced = Date.now();
    } catch (error) {
      throw writeFailure(this.#path, error);
    }
  }

  async close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = null;
    if (handle === null) return;
    try {
      await handle.datasync();
    } catch (error) {
      throw writeFailure(this.#path, error);
    } finally {
      await handle.close();
    }
  }

  async #open(): Promise<FileHandle> {
    await makePartsFolder(dirname(this.#path));
    const handle = await open(this.#path, 'a+');
    const { size } = await handle.stat();
    if (size === 0) return handle;
    const last = await handle.read(Buffer.alloc(1), 0, 1, size - 1);
    // A torn last line must not swallow the next one.
    if (last.buffer[0] !== 0x0a) await handle.appendFile('\n');
    return handle;
  }
}

async function partFiles(part: string): Promise<string[]> {
  const kind = await stat(part).catch((error: unknown) => {
    const why = systemErrorCode(error) === 'ENOENT' ? 'does not exist' : `cannot be read: ${String(error)}`;
    throw new MechanistError('bad-input', `${part} ${why}. Name a results folder, or a .jsonl file of its parts.`);
  });
  if (kind.isFile()) return [part];
  const inner = partsFolder(part);
  const folder = await stat(inner).then(
    (found) => (found.isDirectory() ? inner : part),
    () => part,
  );
  const names = (await readdir(folder)).filter((name) => name.endsWith('.jsonl')).sort();
  if (names.length > 0) return names.map((name) => join(folder, name));
  throw new MechanistError(
    'bad-input',
    `${part} holds no parts (.jsonl). Name the results folder of a run with --cells.`,
  );
}

/**
 * Copies finished cells of other folders, or of single parts files, to those of `results`; cells that are there already
 * are left as they are.
 * @returns how many were new
 * @throws MechanistError `bad-input` for a part that is none
 */
export async function importCells(
  results: string,
  steps: readonly string[],
  parts: readonly string[],
): Promise<number> {
  const files = (await Promise.all(parts.map(partFiles))).flat();
  const folder = partsFolder(results);
  let added = 0;
  for (const step of steps) {
    const idOf = ({ key, cell }: StoredCell) => `${key} ${cell}`;
    const known = new Set<string>();
    for (const file of await filesOf(folder, step)) for await (const stored of cellsIn(file)) known.add(idOf(stored));
    const writer = new CellWriter(folder, step);
    try {
      for (const file of files.filter((path) => belongsTo(path.slice(dirname(path).length + 1), step))) {
        for await (const stored of cellsIn(file)) {
          if (known.has(idOf(stored))) continue;
          known.add(idOf(stored));
          await writer.append(stored);
          added += 1;
        }
      }
    } finally {
      await writer.close();
    }
  }
  return added;
}
