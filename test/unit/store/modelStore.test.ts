import { createHash, randomBytes } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { strToU8, zipSync } from 'fflate';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { cacheFolder } from '../../../src/core/models/cacheFolder.ts';
import { parseCatalogue } from '../../../src/core/models/catalogue.ts';
import { ModelStore } from '../../../src/core/models/modelStore.ts';
import { MechanistError } from '../../../src/shared/errors.ts';
import type { Progress } from '../../../src/shared/progress.ts';
import {
  breakAfter,
  describeAs,
  type FileServer,
  resumedAt,
  serve,
  stallAfter,
  startFileServer,
  status,
  webPage,
} from '../../support/fileServer.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

const reference = resolve(import.meta.dirname, '../../reference/models');
const files = {
  'config.json': readFileSync(join(reference, 'gpt2/config.json')),
  'tokenizer.json': readFileSync(join(reference, 'gpt2/tokenizer.json')),
  'model.safetensors': readFileSync(join(reference, 'gpt2/model.safetensors')),
};
const sha = (data: Buffer) => createHash('sha256').update(data).digest('hex');
const stated = Object.entries(files).map(([name, data]) => ({
  name,
  bytes: data.length as number | null,
  sha256: sha(data) as string | null,
}));
const total = Object.values(files).reduce((sum, data) => sum + data.length, 0);

let server: FileServer;
beforeEach(async () => {
  server = await startFileServer(
    Object.fromEntries(Object.entries(files).map(([name, data]) => [`/some/gpt2/resolve/main/${name}`, data])),
  );
});
afterEach(() => server.close());

interface Options {
  readonly entry?: object;
  readonly pip?: readonly (readonly string[])[];
  readonly availableBytes?: number;
  readonly cwd?: string;
  readonly hubUrl?: string;
}

function makeStore({ entry = {}, pip = [], availableBytes = 8e9, cwd = reference, hubUrl }: Options = {}) {
  const folder = temporaryFolder();
  const bundledDir = join(folder, 'models');
  mkdirSync(bundledDir);
  const tiny = { id: 'tiny', family: 'gpt2', licence: 'MIT', storedAs: 'F32', format: 'hf-folder', note: 'Test.' };
  const hub = { kind: 'hub', repo: 'some/gpt2', revision: 'main' };
  const models = [
    { ...tiny, id: 'inside', bundled: 'inside' },
    { ...tiny, files: stated, sources: [hub], ...entry },
    { ...tiny, id: 'later', family: 'mamba', files: stated, sources: [hub] },
  ];
  writeFileSync(join(bundledDir, 'catalogue.json'), JSON.stringify({ schemaVersion: 1, models }));
  cpSync(join(reference, 'gpt2'), join(bundledDir, 'inside'), { recursive: true });
  const store = new ModelStore({
    cacheDir: join(folder, 'cache'),
    bundledDir,
    cwd,
    availableBytes: () => availableBytes,
    download: { fetch, hubUrl: hubUrl ?? server.url, pip, stallMs: 300 },
  });
  return { store, folder, cache: join(folder, 'cache', 'models', 'tiny') };
}

function job(signal = new AbortController().signal) {
  const seen: Progress[] = [];
  return { seen, signal, onProgress: (progress: Progress) => seen.push(progress) };
}

async function failure(promise: Promise<unknown>): Promise<MechanistError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof MechanistError)) throw new Error(`expected a MechanistError, got ${String(error)}`);
  return error;
}

/** A pip that puts a wheel into `--dest`, or fails; as a program of this Node. */
function fakePip(folder: string, wheel: Uint8Array | null): readonly string[] {
  const program = join(folder, 'pip.cjs');
  const data = wheel === null ? 'null' : JSON.stringify(Buffer.from(wheel).toString('base64'));
  writeFileSync(
    program,
    `const { writeFileSync } = require('node:fs');
     const wheel = ${data};
     if (wheel === null) { console.error('WARNING: x\\nERROR: No matching distribution found'); process.exit(1); }
     const dest = process.argv[process.argv.indexOf('--dest') + 1];
     writeFileSync(dest + '/thing-1-py3-none-any.whl', Buffer.from(wheel, 'base64'));`,
  );
  return [process.execPath, program];
}

describe('naming a model', () => {
  it('lists bundled, ready and remote models, and added ones', async () => {
    const { store } = makeStore();
    const states = async () => (await store.list()).map(({ ref, state }) => [ref, state]);
    expect(await states()).toEqual([
      ['inside', 'bundled'],
      ['tiny', 'remote'],
      ['later', 'remote'],
    ]);
    await store.pull('tiny', job());
    await store.add('gpt2');
    await store.add('gpt2');
    expect(await states()).toEqual([
      ['inside', 'bundled'],
      ['tiny', 'ready'],
      ['later', 'remote'],
      [join(reference, 'gpt2'), 'ready'],
    ]);
  });

  it('shows an added model whose folder has gone as missing, and survives a damaged list', async () => {
    const { store, folder } = makeStore();
    const copy = join(folder, 'copy');
    cpSync(join(reference, 'llama-tied'), copy, { recursive: true });
    const info = await store.add(copy);
    expect(info).toMatchObject({ ref: copy, family: 'llama' });
    rmSync(copy, { recursive: true });
    expect((await store.list()).at(-1)).toMatchObject({ ref: copy, state: 'missing' });
    writeFileSync(join(folder, 'cache', 'added.json'), '[{"path": 3}, nonsense');
    expect(await store.list()).toHaveLength(3);
  });

  it('takes ids, absolute folders and folders relative to where it was started', async () => {
    const { store } = makeStore();
    expect(await store.info('inside')).toMatchObject({
      ref: 'inside',
      label: 'inside F32',
      licence: 'MIT',
      family: 'gpt2',
    });
    const path = join(reference, 'llama-tied');
    expect(await store.info('./llama-tied')).toMatchObject({ ref: path });
    expect(await store.info(path)).toMatchObject({ ref: path, family: 'llama' });
  });

  it('says what to do about a name it does not know', async () => {
    const { store } = makeStore();
    const typo = await failure(store.info('tinny'));
    expect([typo.code, typo.data.suggestion]).toEqual(['model-not-found', 'tiny']);
    expect(typo.message).toContain('Did you mean tiny?');
    expect((await failure(store.info('/no/such/place'))).message).toContain('nothing is at /no/such/place');
    expect((await failure(store.pull('tinny', job()))).code).toBe('model-not-found');
    expect((await failure(store.info(' '))).code).toBe('model-not-found');
    expect((await failure(store.info('gpt2/config.json'))).code).toBe('model-unsupported');
  });

  it('says how to get a model that is not here', async () => {
    const { store } = makeStore();
    const error = await failure(store.info('tiny'));
    expect(error.message).toContain('mechanist models pull tiny');
    expect(error.data).toMatchObject({ canPull: true, downloadBytes: total });
    expect(await store.needsPull('tiny')).toBe(true);
    expect(await store.needsPull('inside')).toBe(false);
    expect(await store.needsPull('./gpt2')).toBe(false);
  });

  it('forecasts the memory of models whose sizes are stated, before they are downloaded', async () => {
    const shape = { nLayers: 12, nHeads: 12, dModel: 768, dMlp: 3072, dVocab: 50257, parameters: 124439808 };
    const { store } = makeStore({ entry: { shape }, availableBytes: 600e6 });
    const [inside, tiny] = await store.list();
    expect(inside?.memory).toBeNull();
    expect(tiny).toMatchObject({ state: 'remote', memory: { fits: false, availableBytes: 600e6 } });
    expect(Math.abs((tiny?.memory?.neededBytes ?? 0) - 692e6)).toBeLessThan(1e6);
  });

  it('refuses a family that cannot be run, before anything is downloaded', async () => {
    const { store } = makeStore();
    const error = await failure(store.pull('later', job()));
    expect([error.code, server.seen.length]).toEqual(['model-unsupported', 0]);
    expect(error.message).toContain('mamba');
    expect((await failure(store.locate('later'))).code).toBe('model-unsupported');
  });

  it('says whether a model fits, and refuses to open one that does not', async () => {
    const { store } = makeStore({ availableBytes: 1e6 });
    expect((await store.info('inside')).memory).toMatchObject({ fits: false, availableBytes: 1e6 });
    const error = await failure(store.open(await store.locate('inside'), job()));
    expect(error.code).toBe('model-too-large');
  });

  it('knows a replaced file for another model', async () => {
    const { store, folder } = makeStore();
    const located = await store.locate('inside');
    const before = await store.identityOf(located);
    expect(await store.identityOf(located)).toBe(before);
    utimesSync(join(folder, 'models/inside/model.safetensors'), 1, 1);
    expect(await store.identityOf(located)).not.toBe(before);
  });
});

describe('pulling', () => {
  it('brings every file, with progress in bytes that ends at the total', async () => {
    const { store, cache } = makeStore();
    const { seen, ...rest } = job();
    expect(await store.pull('tiny', rest)).toMatchObject({ ref: 'tiny', family: 'gpt2' });
    expect(readdirSync(cache).sort()).toEqual(Object.keys(files).sort());
    expect(new Set(seen.map((p) => p.total))).toEqual(new Set([total]));
    expect(seen.map((p) => p.done)).toEqual(seen.map((p) => p.done).toSorted((a, b) => a - b));
    expect(seen.at(-1)?.done).toBe(total);
    const asked = server.seen.length;
    await store.pull('tiny', rest);
    expect(server.seen.length).toBe(asked);
  });

  it('after a cancel brings only what is missing', async () => {
    const { store, cache } = makeStore();
    const controller = new AbortController();
    const first = store.pull('tiny', {
      signal: controller.signal,
      onProgress: ({ label }) => {
        if (label === 'model.safetensors') controller.abort();
      },
    });
    expect((await failure(first)).code).toBe('cancelled');
    expect(existsSync(join(cache, 'tokenizer.json'))).toBe(true);
    expect(await store.needsPull('tiny')).toBe(true);
    const asked = server.seen.length;
    await store.pull('tiny', job());
    expect(server.seen.slice(asked).map(({ path }) => path)).toEqual(['/some/gpt2/resolve/main/model.safetensors']);
  });

  it("checks the hub's own hash where the catalogue has none", async () => {
    const unstated = stated.map((file) => ({ ...file, bytes: null, sha256: null }));
    const { store, cache } = makeStore({ entry: { files: unstated, approximateBytes: 2e6 } });
    const blob = createHash('sha1')
      .update(`blob ${files['config.json'].length}\0`)
      .update(files['config.json'])
      .digest('hex');
    server.next.push(describeAs(blob), serve, describeAs('f'.repeat(64)));
    const error = await failure(store.pull('tiny', job()));
    expect(error.code).toBe('hash-mismatch');
    expect(existsSync(join(cache, 'config.json'))).toBe(true);
    expect(existsSync(join(cache, 'tokenizer.json'))).toBe(false);
  });

  it.each([
    ['answers 500', status(500), '500'],
    ['answers 404', status(404), '404'],
    ['sends a web page', webPage, 'web page'],
    ['stalls', stallAfter(10), 'no data for 0.3 s'],
  ])('falls back to the wheel when the hub %s', async (_name, answer) => {
    const wheel = zipSync(
      Object.fromEntries(Object.entries(files).map(([name, data]) => [`thing/${name}`, new Uint8Array(data)])),
    );
    const scripts = temporaryFolder();
    const { store, cache } = makeStore({
      entry: {
        sources: [
          { kind: 'hub', repo: 'some/gpt2', revision: 'main' },
          { kind: 'pypi', requirement: 'thing==1', folder: 'thing' },
        ],
      },
      pip: [['no-such-program-anywhere'], fakePip(scripts, wheel)],
    });
    mkdirSync(join(cache, 'config.json.wheel-left'), { recursive: true });
    server.next.push(...Array.from({ length: 8 }, () => answer));
    const { seen, ...rest } = job();
    await store.pull('tiny', rest);
    expect(await store.info('tiny')).toMatchObject({ family: 'gpt2' });
    expect(seen.at(-1)?.done).toBe(total);
    expect(readdirSync(cache).sort()).toEqual(Object.keys(files).sort());
  });

  it('tells how each source failed', async () => {
    const scripts = temporaryFolder();
    const { store } = makeStore({
      entry: {
        sources: [
          { kind: 'hub', repo: 'some/gpt2', revision: 'main' },
          { kind: 'pypi', requirement: 'thing==1', folder: 'thing' },
        ],
      },
      pip: [fakePip(scripts, null)],
    });
    server.next.push(webPage);
    const error = await failure(store.pull('tiny', job()));
    expect(error.code).toBe('download-failed');
    expect(error.message).toContain(`${server.url} (some/gpt2): the server sent a web page instead of the file`);
    expect(error.message).toContain('pip (thing==1): ');
    expect(error.message).toContain('ERROR: No matching distribution found');
    expect(error.data.sources).toHaveLength(2);
  });

  it('says that pip is missing, and refuses wheels that are damaged, empty or wrong', async () => {
    const entry = { sources: [{ kind: 'pypi', requirement: 'thing==1', folder: 'thing' }] };
    const withPip = async (pip: readonly (readonly string[])[]) => {
      const { store, cache } = makeStore({ entry, pip });
      const error = await failure(store.pull('tiny', job()));
      expect(existsSync(cache) ? readdirSync(cache) : []).toEqual([]);
      return error;
    };
    const folder = temporaryFolder();
    expect((await withPip([['no-such-program-anywhere']])).message).toContain('pip is not installed');
    const other = zipSync({ 'thing/README': strToU8('x') });
    expect((await withPip([fakePip(folder, other)])).message).toContain('no file thing/config.json');
    const wrong = zipSync({ 'thing/config.json': strToU8('x'.repeat(500)) });
    expect((await withPip([fakePip(folder, wrong)])).code).toBe('hash-mismatch');
    expect((await withPip([fakePip(folder, randomBytes(5000))])).code).toBe('download-failed');
  });

  it('says why the hub did not describe a file whose hash nobody has stated', async () => {
    const unstated = stated.map((file) => ({ ...file, bytes: null, sha256: null }));
    const entry = { files: unstated, approximateBytes: 2e6 };
    const unreachable = makeStore({ entry, hubUrl: 'http://127.0.0.1:9' });
    expect((await failure(unreachable.store.pull('tiny', job()))).message).toContain(
      'config.json: the hub did not describe the file (bad port)',
    );
    const { store } = makeStore({ entry });
    server.next.push(webPage);
    expect((await failure(store.pull('tiny', job()))).code).toBe('download-failed');
    server.next.push(() => undefined);
    expect((await failure(store.pull('tiny', job()))).message).toContain('did not describe');
    expect(
      (
        await failure(
          makeStore({
            entry: { ...entry, sources: [{ kind: 'hub', repo: 'other/name', revision: 'main' }] },
          }).store.pull('tiny', job()),
        )
      ).code,
    ).toBe('download-failed');
  });

  it('reports a wrong sha256 and keeps nothing of it', async () => {
    const wrong = stated.map((file) => ({ ...file, sha256: '1'.repeat(64) }));
    const { store, cache } = makeStore({ entry: { files: wrong } });
    expect((await failure(store.pull('tiny', job()))).code).toBe('hash-mismatch');
    expect(readdirSync(cache)).toEqual([]);
  });

  it('refuses what the disk cannot hold before it downloads', async () => {
    const huge = stated.map((file) => ({ ...file, bytes: 1e18 }));
    const { store } = makeStore({ entry: { files: huge } });
    expect((await failure(store.pull('tiny', job()))).code).toBe('disk-full');
    expect(server.seen).toEqual([]);
  });

  it('downloads once when asked twice at the same time', async () => {
    const { store } = makeStore();
    await Promise.all([store.pull('tiny', job()), store.pull('tiny', job())]);
    expect(server.seen).toHaveLength(3);
  });

  it('takes over the lock of a process that died, and gives up waiting when cancelled', async () => {
    const { store, cache } = makeStore();
    mkdirSync(cache, { recursive: true });
    writeFileSync(join(cache, '.lock'), '');
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 100);
    expect((await failure(store.pull('tiny', job(controller.signal)))).code).toBe('cancelled');
    utimesSync(join(cache, '.lock'), 1, 1);
    await store.pull('tiny', job());
    expect(existsSync(join(cache, '.lock'))).toBe(false);
  });

  it('resumes a large file that broke off again and again', async () => {
    const { store } = makeStore({ entry: { files: stated.slice(2), id: 'tiny' } });
    server.next.push(breakAfter(20_000), breakAfter(20_000), breakAfter(20_000));
    const result = store.pull('tiny', job());
    // config.json is not part of this entry, so it can be downloaded but not opened.
    expect((await failure(result)).code).toBe('model-not-found');
    const from = resumedAt(server.seen);
    expect(from).toHaveLength(3);
    expect(from[0]).toBeGreaterThan(0);
    expect(from).toEqual(from.toSorted((a, b) => a - b));
    expect(from[2]).toBeLessThanOrEqual(60_000);
  });

  it.skipIf(process.getuid?.() === 0)('says when the cache cannot be written', async () => {
    const { store, folder } = makeStore();
    chmodSync(folder, 0o500);
    expect((await failure(store.pull('tiny', job()))).message).toContain('MECHANIST_CACHE');
    chmodSync(folder, 0o700);
  });
});

describe('the catalogue', () => {
  const text = readFileSync(resolve(import.meta.dirname, '../../../models/catalogue.json'), 'utf8');

  it('that is shipped is valid, starts with the bundled model and has the default one with two sources', () => {
    const models = parseCatalogue(text);
    expect(models.map(({ id }) => id)).toEqual([
      'small-world',
      'acronyms',
      'planted',
      'smollm2-135m',
      'gpt2',
      'gpt2-medium',
      'pythia-70m',
      'pythia-160m',
      'gpt-neo-125m',
    ]);
    expect(models[3]?.sources?.map(({ kind }) => kind)).toEqual(['hub', 'pypi']);
    for (const { licence } of models) expect(licence).toMatch(/^(MIT|Apache-2\.0)$/);
  });

  it.each([
    ['not JSON', '{', 'not JSON'],
    [
      'a file outside of its folder',
      text.replace('"name": "config.json"', '"name": "../config.json"'),
      '/files/0/name',
    ],
    ['an unknown key', text.replace('"note"', '"nota"'), '/models/0'],
    ['a hash that is none', text.replace('b179c952', 'B179'), '/files/0/sha256'],
    ['an unknown source', text.replace('"kind": "hub"', '"kind": "ftp"'), '/sources/0'],
  ])('with %s is refused at the place', (_name, broken, place) => {
    expect(() => parseCatalogue(broken)).toThrow(place);
  });
});

describe('the cache folder', () => {
  it('is chosen by MECHANIST_CACHE, else by the platform', () => {
    expect(cacheFolder({ MECHANIST_CACHE: '/c' }, 'linux', '/home/a')).toBe('/c');
    expect(cacheFolder({ MECHANIST_CACHE: '' }, 'linux', '/home/a')).toBe('/home/a/.cache/mechanist');
    expect(cacheFolder({ XDG_CACHE_HOME: '/x' }, 'linux', '/home/a')).toBe('/x/mechanist');
    expect(cacheFolder({}, 'darwin', '/Users/a')).toBe('/Users/a/Library/Caches/mechanist');
    expect(cacheFolder({ LOCALAPPDATA: '/L' }, 'win32', '/Users/a')).toBe('/L/mechanist');
  });
});
