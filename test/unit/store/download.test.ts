import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { checkDiskSpace, download, type ExpectedFile } from '../../../src/core/models/download.ts';
import { MechanistError } from '../../../src/shared/errors.ts';
import {
  breakAfter,
  type FileServer,
  resumedAt,
  serve,
  stallAfter,
  startFileServer,
  status,
  webPage,
} from '../../support/fileServer.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

const body = randomBytes(300_000);
const sha256 = createHash('sha256').update(body).digest('hex');
const expected: ExpectedFile = { bytes: body.length, sha256 };
let server: FileServer;

beforeAll(async () => {
  server = await startFileServer({ '/file': body });
});
afterAll(() => server.close());
beforeEach(() => {
  (server.seen as unknown[]).length = 0;
  server.next.length = 0;
});

async function tryDownload(
  target: string,
  want: ExpectedFile = expected,
  stallMs = 500,
  signal = new AbortController().signal,
) {
  const seen: number[] = [];
  const error = await download(`${server.url}/file`, target, want, {
    fetch,
    signal,
    stallMs,
    onBytes: (done) => seen.push(done),
  }).then(
    () => null,
    (reason: unknown) => {
      if (!(reason instanceof MechanistError)) throw reason;
      return reason;
    },
  );
  return { error, seen };
}

describe('download', () => {
  it('brings the file and leaves no part', async () => {
    const target = join(temporaryFolder(), 'sub', 'file');
    const { error, seen } = await tryDownload(target);
    expect(error).toBeNull();
    expect(readFileSync(target).equals(body)).toBe(true);
    expect(existsSync(`${target}.part`)).toBe(false);
    expect(seen.at(-1)).toBe(body.length);
  });

  it('takes up a broken connection, asking only for the rest', async () => {
    const target = join(temporaryFolder(), 'file');
    server.next.push(breakAfter(100_000), breakAfter(50_000));
    const { error, seen } = await tryDownload(target);
    expect(error).toBeNull();
    expect(readFileSync(target).equals(body)).toBe(true);
    const [second = 0, third = 0] = resumedAt(server.seen);
    expect(server.seen).toHaveLength(3);
    expect(second).toBeGreaterThan(0);
    expect(second).toBeLessThanOrEqual(100_000);
    expect(third).toBeGreaterThanOrEqual(second);
    expect(third).toBeLessThanOrEqual(150_000);
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
  });

  it('tries again when a connection breaks before it has brought anything, but not for ever', async () => {
    const target = join(temporaryFolder(), 'file');
    server.next.push(breakAfter(0), breakAfter(0));
    expect((await tryDownload(target)).error).toBeNull();
    expect(server.seen).toHaveLength(3);
    server.next.push(...Array.from({ length: 9 }, () => breakAfter(0)));
    const other = await tryDownload(join(temporaryFolder(), 'file'));
    expect(other.error?.code).toBe('download-failed');
    expect(server.next.length).toBe(6);
  });

  it('resumes a part that an earlier run left', async () => {
    const target = join(temporaryFolder(), 'file');
    writeFileSync(`${target}.part`, body.subarray(0, 123_456));
    expect((await tryDownload(target)).error).toBeNull();
    expect(server.seen).toEqual([{ path: '/file', range: 'bytes=123456-' }]);
    expect(readFileSync(target).equals(body)).toBe(true);
  });

  it('asks for nothing when the part is whole already', async () => {
    const target = join(temporaryFolder(), 'file');
    writeFileSync(`${target}.part`, body);
    expect((await tryDownload(target)).error).toBeNull();
    expect(server.seen).toEqual([]);
  });

  it('starts over when the part is of another file', async () => {
    const target = join(temporaryFolder(), 'file');
    writeFileSync(`${target}.part`, randomBytes(1000));
    expect((await tryDownload(target)).error).toBeNull();
    expect(readFileSync(target).equals(body)).toBe(true);
  });

  it('starts over when the server knows no ranges', async () => {
    const target = join(temporaryFolder(), 'file');
    writeFileSync(`${target}.part`, body.subarray(0, 1000));
    server.next.push((_request, response, file) => serve({ headers: {} } as never, response, file));
    expect((await tryDownload(target)).error).toBeNull();
    expect(readFileSync(target).equals(body)).toBe(true);
  });

  it('removes a part that is too long or that the server refuses', async () => {
    const target = join(temporaryFolder(), 'file');
    writeFileSync(`${target}.part`, randomBytes(body.length + 5));
    expect((await tryDownload(target)).error).toBeNull();
    writeFileSync(`${target}.part`, randomBytes(body.length + 5));
    expect((await tryDownload(target, { bytes: null, sha256 })).error).toBeNull();
    expect(readFileSync(target).equals(body)).toBe(true);
  });

  it('refuses a file with the wrong sha256 and removes it', async () => {
    const target = join(temporaryFolder(), 'file');
    const { error } = await tryDownload(target, { bytes: body.length, sha256: '0'.repeat(64) });
    expect(error?.code).toBe('hash-mismatch');
    expect(existsSync(target)).toBe(false);
    expect(existsSync(`${target}.part`)).toBe(false);
  });

  it("checks git's blob id where there is no sha256", async () => {
    const target = join(temporaryFolder(), 'file');
    const gitBlobId = createHash('sha1').update(`blob ${body.length}\0`).update(body).digest('hex');
    expect((await tryDownload(target, { bytes: null, sha256: null, gitBlobId })).error).toBeNull();
    const wrong = await tryDownload(join(temporaryFolder(), 'f'), {
      bytes: null,
      sha256: null,
      gitBlobId: 'a'.repeat(40),
    });
    expect(wrong.error?.code).toBe('hash-mismatch');
  });

  it('gives up a server that stalls before and in the middle of the file, keeping the part', async () => {
    const target = join(temporaryFolder(), 'file');
    server.next.push(() => undefined);
    const silent = await tryDownload(target, expected, 150);
    expect([silent.error?.code, silent.error?.message]).toEqual(['download-failed', 'no data for 0.15 s']);
    server.next.push(stallAfter(1000), () => undefined);
    const stalled = await tryDownload(target, expected, 150);
    expect(stalled.error?.code).toBe('download-failed');
    expect(readFileSync(`${target}.part`).equals(body.subarray(0, 1000))).toBe(true);
  });

  it.each([
    ['a web page', webPage, 'web page'],
    ['404', status(404), '404'],
    ['500', status(500), '500'],
  ])('refuses %s', async (_name, answer, words) => {
    const target = join(temporaryFolder(), 'file');
    server.next.push(answer);
    const { error } = await tryDownload(target);
    expect(error?.code).toBe('download-failed');
    expect(error?.message).toContain(words);
    expect(existsSync(target)).toBe(false);
    expect(existsSync(`${target}.part`)).toBe(false);
  });

  it('refuses a server that lies about the length', async () => {
    const target = join(temporaryFolder(), 'file');
    server.next.push((_request, response) => response.writeHead(200, { 'content-length': 5 }).end('short'));
    expect((await tryDownload(target)).error?.message).toContain('offers 5 bytes');
    // Without a stated length, more than promised.
    server.next.push((_request, response, file) => {
      response.writeHead(200);
      response.write(file);
      response.end('more');
    });
    expect((await tryDownload(target)).error?.message).toContain('more than the 300000 bytes');
    // Without a stated length, less than promised: taken up where it ended.
    server.next.push((_request, response, file) => {
      response.writeHead(200);
      response.end(file.subarray(0, 1000));
    });
    const other = join(temporaryFolder(), 'file');
    expect((await tryDownload(other)).error).toBeNull();
    expect(server.seen.at(-1)?.range).toBe('bytes=1000-');
  });

  it('refuses an answer for another part of the file', async () => {
    const target = join(temporaryFolder(), 'file');
    writeFileSync(`${target}.part`, body.subarray(0, 1000));
    server.next.push((_request, response) =>
      response.writeHead(206, { 'content-range': 'bytes 5-9/300000' }).end('wrong'),
    );
    expect((await tryDownload(target)).error?.message).toContain('another part');
  });

  it('stops when cancelled and keeps the part', async () => {
    const target = join(temporaryFolder(), 'file');
    const controller = new AbortController();
    server.next.push(stallAfter(2000));
    setTimeout(() => controller.abort(), 100);
    const { error } = await tryDownload(target, expected, 5000, controller.signal);
    expect(error?.code).toBe('cancelled');
    expect(readFileSync(`${target}.part`)).toHaveLength(2000);
  });

  it('says so when nobody answers', async () => {
    const folder = temporaryFolder();
    const promise = download('http://127.0.0.1:1/file', join(folder, 'file'), expected, {
      fetch,
      signal: new AbortController().signal,
      stallMs: 500,
      onBytes: () => undefined,
    });
    await expect(promise).rejects.toMatchObject({ code: 'download-failed' });
  });

  it('refuses before it starts what the disk cannot hold', async () => {
    const folder = temporaryFolder();
    await expect(checkDiskSpace(folder, 1e18)).rejects.toMatchObject({ code: 'disk-full' });
    await checkDiskSpace(folder, 1);
    const { error } = await tryDownload(join(folder, 'file'), { bytes: null, sha256: null });
    expect(error).toBeNull();
  });
});
