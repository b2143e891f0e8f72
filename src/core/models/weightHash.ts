import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { throwIfCancelled } from '../../shared/errors.ts';
import { readFailure } from './fileErrors.ts';

interface HashOptions {
  /** Where hashes are remembered, so that a file is read once. */
  readonly cacheDir: string;
  readonly signal?: AbortSignal;
  /** Bytes done so far, over all files. */
  readonly onBytes?: (done: number) => void;
}

/**
 * sha256 of a model's weights, hexadecimal. One file: the sha256 of the file. Several shards: the sha256 of the lines
 * `<sha256 of shard>  <name>\n` in order of name (what `sha256sum * | sha256sum` prints).
 *
 * @throws cancelled, model-not-found
 */
export async function weightHash(files: readonly string[], options: HashOptions): Promise<string> {
  const sizes = await Promise.all(files.map((file) => fileIdentity(file)));
  const lines: string[] = [];
  let before = 0;
  for (const [index, file] of files.entries()) {
    const hash = await fileHash(file, options, (done) => options.onBytes?.(before + done));
    before += sizes[index].size;
    options.onBytes?.(before);
    lines.push(`${hash}  ${basename(file)}\n`);
  }
  if (lines.length === 1) return lines[0].slice(0, 64);
  return createHash('sha256').update(lines.sort(byName).join('')).digest('hex');
}

function byName(a: string, b: string): number {
  return a.slice(64) < b.slice(64) ? -1 : 1;
}

/** The hash of these weights where it is remembered from before; null otherwise. Reads no weights. */
export async function rememberedWeightHash(files: readonly string[], cacheDir: string): Promise<string | null> {
  if (files.length !== 1) return null;
  return recall(files[0], await fileIdentity(files[0]), cacheDir);
}

interface FileIdentity {
  readonly size: number;
  readonly mtimeMs: number;
}

async function fileIdentity(file: string): Promise<FileIdentity> {
  try {
    const { size, mtimeMs } = await stat(file);
    return { size, mtimeMs };
  } catch (error) {
    throw readFailure(file, error);
  }
}

async function fileHash(file: string, options: HashOptions, onBytes: (done: number) => void): Promise<string> {
  const identity = await fileIdentity(file);
  const known = await recall(file, identity, options.cacheDir);
  if (known) return known;
  const hash = createHash('sha256');
  let done = 0;
  try {
    for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) {
      throwIfCancelled(options.signal);
      hash.update(chunk);
      done += chunk.length;
      onBytes(Math.min(done, identity.size));
    }
  } catch (error) {
    throw readFailure(file, error);
  }
  const sha256 = hash.digest('hex');
  await remember(file, identity, sha256, options.cacheDir);
  return sha256;
}

function notePath(file: string, cacheDir: string): string {
  return join(cacheDir, 'hashes', `${createHash('sha256').update(file).digest('hex').slice(0, 32)}.json`);
}

async function recall(file: string, identity: FileIdentity, cacheDir: string): Promise<string | null> {
  try {
    const note: unknown = JSON.parse(await readFile(notePath(file, cacheDir), 'utf8'));
    if (typeof note !== 'object' || note === null) return null;
    const { path, size, mtimeMs, sha256 } = note as Record<string, unknown>;
    const same = path === file && size === identity.size && mtimeMs === identity.mtimeMs;
    return same && typeof sha256 === 'string' && /^[0-9a-f]{64}$/.test(sha256) ? sha256 : null;
  } catch {
    return null;
  }
}

/** A hash that cannot be remembered is computed again the next time: no reason to fail. */
async function remember(file: string, identity: FileIdentity, sha256: string, cacheDir: string): Promise<void> {
  const note = notePath(file, cacheDir);
  const temporary = `${note}.${randomBytes(6).toString('hex')}.part`;
  try {
    await mkdir(join(cacheDir, 'hashes'), { recursive: true });
    await writeFile(temporary, JSON.stringify({ path: file, ...identity, sha256 }));
    await rename(temporary, note);
  } catch {
    await rm(temporary, { force: true }).catch(() => undefined);
  }
}
