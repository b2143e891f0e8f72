import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, rename, rm, stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MechanistError, throwIfCancelled } from '../../shared/errors.ts';
import { bytes } from '../../shared/format.ts';
import { writeFailure } from './fileErrors.ts';

/** What the finished file must be; null where it is not known. */
export interface ExpectedFile {
  readonly bytes: number | null;
  readonly sha256: string | null;
  /** Git's id of the file's contents: what the hub states for small files. */
  readonly gitBlobId?: string | null;
}

export interface DownloadOptions {
  readonly fetch: typeof fetch;
  readonly signal: AbortSignal;
  /** Bytes of this file that are on disk. */
  readonly onBytes: (done: number) => void;
  /** No byte for so long, in milliseconds, ends the attempt. */
  readonly stallMs: number;
}

/** Space left untouched on the disk, in bytes. */
const DISK_RESERVE = 64e6;
/** A connection that breaks after it has delivered something is taken up again this often. */
const MAX_RESUMES = 5;

/** Connections in a row that may break after the server has answered, without a byte gained. */
const MAX_FRUITLESS = 3;
/** Wait before the next of those, in milliseconds. */
const PAUSE_MS = 200;

/** A connection that broke; worth taking up if it brought anything, and worth another try if the server had answered. */
class BrokenOff extends Error {
  answered = false;
}

function failed(message: string): MechanistError {
  return new MechanistError('download-failed', message);
}

/** Bytes on disk; 0 when there is no such file. */
export async function fileSize(path: string): Promise<number> {
  return await stat(path).then(
    (found) => found.size,
    () => 0,
  );
}

/** sha256 of a file, hexadecimal. With `gitBlobOf` (its size): the sha1 that git gives to these contents. */
async function hashFile(path: string, signal?: AbortSignal, gitBlobOf?: number): Promise<string> {
  const hash = createHash(gitBlobOf === undefined ? 'sha256' : 'sha1');
  if (gitBlobOf !== undefined) hash.update(`blob ${gitBlobOf}\0`);
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) {
    throwIfCancelled(signal);
    hash.update(chunk as Buffer);
  }
  return hash.digest('hex');
}

/**
 * Refuses early when the disk cannot hold what is still to come.
 * @throws MechanistError `disk-full` with both numbers.
 */
export async function checkDiskSpace(folder: string, neededBytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  if (free >= neededBytes + DISK_RESERVE) return;
  throw new MechanistError(
    'disk-full',
    `The download needs ${bytes(neededBytes)} and ${folder} has ${bytes(free)} free. Free some space, ` +
      'or move the cache with MECHANIST_CACHE.',
    { neededBytes, freeBytes: free },
  );
}

/**
 * Compares a finished file with what it must be; a wrong one is removed, so that the next attempt starts afresh.
 * @throws MechanistError `hash-mismatch`.
 */
export async function checkFile(path: string, expected: ExpectedFile, signal: AbortSignal): Promise<void> {
  const size = await fileSize(path);
  const wants = expected.sha256 ?? expected.gitBlobId ?? null;
  if (wants === null) return;
  const has = await hashFile(path, signal, expected.sha256 === null ? size : undefined);
  if (has === wants) return;
  await rm(path, { force: true });
  throw new MechanistError(
    'hash-mismatch',
    `the file that arrived is not the one that was promised (sha256 ${has.slice(0, 12)}…, expected ${wants.slice(0, 12)}…); it was removed`,
    { expected: wants, actual: has },
  );
}

/** Fires when nothing has happened for `stallMs`, and when `signal` fires. */
class StallTimer {
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal;
  readonly #stallMs: number;
  readonly #onAbort = () => this.#controller.abort();
  #timer: NodeJS.Timeout | undefined;
  stalled = false;

  constructor(outer: AbortSignal, stallMs: number) {
    this.#outer = outer;
    this.#stallMs = stallMs;
    outer.addEventListener('abort', this.#onAbort, { once: true });
    this.touch();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  touch(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.stalled = true;
      this.#controller.abort();
    }, this.#stallMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#outer.removeEventListener('abort', this.#onAbort);
  }

  /** What a failure means while this timer was on. */
  explain(error: unknown): unknown {
    if (this.#outer.aborted) return new MechanistError('cancelled', 'Cancelled.');
    if (this.stalled) return new BrokenOff(`no data for ${this.#stallMs / 1000} s`);
    if (error instanceof MechanistError) return error;
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    return cause instanceof Error && 'syscall' in cause && cause.syscall === 'write'
      ? cause
      : new BrokenOff(cause instanceof Error ? cause.message : String(cause));
  }
}

/** Where in the file the body of `response` begins, and how long the file says it is. */
function readRange(response: Response, have: number): { start: number; total: number | null } {
  if (response.status === 206) {
    const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.headers.get('content-range') ?? '');
    if (range === null || Number(range[1]) !== have) throw failed('the server sent another part than was asked for');
    return { start: have, total: range[2] === '*' ? null : Number(range[2]) };
  }
  // No Content-Length of an encoded body: it counts other bytes than those that arrive.
  const length = response.headers.has('content-encoding') ? null : response.headers.get('content-length');
  return { start: 0, total: length === null ? null : Number(length) };
}

function checkResponse(response: Response, expected: ExpectedFile): void {
  if (!response.ok) throw failed(`the server answered ${response.status} ${response.statusText}`.trimEnd());
  const type = response.headers.get('content-type') ?? '';
  if (type.includes('text/html')) throw failed('the server sent a web page instead of the file');
  if (response.body === null) throw failed('the server sent nothing');
  const whole = response.status === 200 ? response.headers.get('content-length') : null;
  const encoded = response.headers.has('content-encoding');
  if (whole !== null && !encoded && expected.bytes !== null && Number(whole) !== expected.bytes) {
    throw failed(`the server offers ${whole} bytes where ${expected.bytes} are expected`);
  }
}

async function writeBody(
  body: ReadableStream<Uint8Array>,
  file: FileHandle,
  start: number,
  onData: (at: number) => void,
) {
  let at = start;
  for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
    await file.write(chunk, 0, chunk.length, at);
    at += chunk.length;
    onData(at);
  }
  return at;
}

/** One connection: takes up `part` where it ends. Returns the length it should have; null when nobody says. */
async function fetchOnce(url: string, part: string, expected: ExpectedFile, options: DownloadOptions): Promise<void> {
  const have = await fileSize(part);
  const timer = new StallTimer(options.signal, options.stallMs);
  let answered = false;
  try {
    const headers: Record<string, string> = { 'accept-encoding': 'identity' };
    if (have > 0) headers.range = `bytes=${have}-`;
    const response = await options.fetch(url, { headers, signal: timer.signal });
    answered = true;
    if (response.status === 416) {
      await response.body?.cancel();
      await rm(part, { force: true });
      throw new BrokenOff('the server does not know the part that was asked for');
    }
    checkResponse(response, expected);
    const { start, total } = readRange(response, have);
    const length = expected.bytes ?? total;
    if (length !== null) await checkDiskSpace(dirname(part), length - start);
    const file = await open(part, start === 0 ? 'w' : 'r+');
    try {
      const end = await writeBody(response.body as ReadableStream<Uint8Array>, file, start, (at) => {
        timer.touch();
        options.onBytes(at);
      });
      if (length !== null && end > length) throw failed(`the server sent more than the ${length} bytes it promised`);
      if (length !== null && end < length) throw new BrokenOff(`the connection broke off at ${end} of ${length} bytes`);
    } finally {
      await file.close();
    }
  } catch (error) {
    const explained = timer.explain(error);
    if (!(explained instanceof BrokenOff)) throw writeFailure(part, explained);
    explained.answered = answered && !timer.stalled;
    throw explained;
  } finally {
    timer.stop();
  }
}

/** Connections until the part is whole. */
async function fetchResuming(url: string, part: string, expected: ExpectedFile, options: DownloadOptions) {
  let fruitless = 0;
  for (let attempt = 0; ; attempt++) {
    throwIfCancelled(options.signal);
    const before = await fileSize(part);
    if (expected.bytes !== null && before === expected.bytes) return;
    if (expected.bytes !== null && before > expected.bytes) await rm(part);
    try {
      await fetchOnce(url, part, expected, options);
      return;
    } catch (error) {
      if (!(error instanceof BrokenOff)) throw error;
      fruitless = (await fileSize(part)) === before ? fruitless + 1 : 0;
      const hopeless = fruitless > 0 && (!error.answered || fruitless >= MAX_FRUITLESS);
      if (hopeless || attempt >= MAX_RESUMES) throw failed(error.message);
      if (fruitless > 0) await sleep(PAUSE_MS);
    }
  }
}

/**
 * Downloads one file: into `<target>.part`, resumed by byte range, checked, then renamed. A cancelled or broken
 * download keeps its part; a wrong file is removed.
 * @throws MechanistError `cancelled`, `download-failed`, `hash-mismatch`, `disk-full`.
 */
export async function download(
  url: string,
  target: string,
  expected: ExpectedFile,
  options: DownloadOptions,
): Promise<void> {
  const part = `${target}.part`;
  await mkdir(dirname(target), { recursive: true });
  const resumed = (await fileSize(part)) > 0;
  await fetchResuming(url, part, expected, options);
  try {
    await checkFile(part, expected, options.signal);
  } catch (error) {
    // The first bytes may be from an earlier, other file: once more, from the start.
    if (!resumed || !(error instanceof MechanistError) || error.code !== 'hash-mismatch') throw error;
    await fetchResuming(url, part, expected, options);
    await checkFile(part, expected, options.signal);
  }
  await rename(part, target);
}
