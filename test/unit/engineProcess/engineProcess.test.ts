import { execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TraceRequest } from '../../../src/shared/engineProtocol.ts';
import { MechanistError } from '../../../src/shared/errors.ts';
import type { Progress } from '../../../src/shared/progress.ts';
import { type ForkedEngine, forkEngine, stopEngine } from '../../support/forkEngine.ts';
import { hasSmollm2, smollm2File, smollm2Reason } from '../../support/smollm2.ts';

const root = resolve(import.meta.dirname, '../../..');
const model = resolve(root, 'test/reference/models/gpt2');
const llama = resolve(root, 'test/reference/models/llama-tied');
let cacheDir: string;
let engine: ForkedEngine;

beforeAll(() => {
  execFileSync(process.execPath, ['esbuild.mjs', 'engine'], { cwd: root });
  cacheDir = mkdtempSync(join(tmpdir(), 'mechanist-engine-'));
  engine = forkEngine({ cacheDir });
});
afterAll(async () => {
  await stopEngine(engine);
  rmSync(cacheDir, { recursive: true, force: true });
});

function request(prompt: string, more: Partial<TraceRequest> = {}): TraceRequest {
  return { model, prompt, method: 'direct', ...more };
}

async function failure(promise: Promise<unknown>): Promise<MechanistError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof MechanistError)) throw new Error(`expected a MechanistError, got ${String(error)}`);
  return error;
}

describe('the engine process', () => {
  it('says hello', async () => {
    expect(await engine.hello).toEqual({ version: '0.0.0-test', pid: engine.child.pid, threads: 1 });
  });

  it('traces a prompt: typed arrays arrive typed, the parts add up', async () => {
    const progress: Progress[] = [];
    const document = await engine.peer.request('trace', request('The cat sat'), {
      onProgress: (report) => progress.push(report),
    });
    expect(document.direct.bySource.data).toBeInstanceOf(Float32Array);
    const sum = document.attributions.reduce((a, b) => a + b, 0);
    expect(Math.abs(sum - document.observable.value)).toBeLessThan(1e-3 * Math.max(1, Math.abs(sum)));
    expect(document.provenance).toMatchObject({ mechanistVersion: '0.0.0-test', model, dtype: 'float32' });
    expect(progress.at(-1)?.done).toBe(progress.at(-1)?.total);
    expect(new Set(progress.map(({ total }) => total)).size).toBe(1);
  });

  it('answers lens, head, checkTerms, load and info', async () => {
    const asked = request('The cat sat');
    const document = await engine.peer.request('trace', asked);
    const lens = await engine.peer.request('lens', { request: asked, positions: [0, 1] });
    expect(lens.positions).toEqual([0, 1]);
    const head = await engine.peer.request('head', { request: asked, layer: 0, head: 1, source: 0 });
    expect(head.pattern.dims).toEqual([document.tokens.length, document.tokens.length]);
    const [check] = await engine.peer.request('checkTerms', { model, terms: ['qzxjv'] });
    expect(check?.pieces.length).toBeGreaterThan(1);
    const bundled = { model: 'small-world', prefix: 'sh', limit: 5 };
    const offered = await engine.peer.request('completeTokens', bundled);
    expect(offered.map(({ text }) => text)).toContain(' she');
    expect(offered.every(({ text }) => text.trimStart().startsWith('sh'))).toBe(true);
    expect(await engine.peer.request('models.load', { model: llama })).toMatchObject({ family: 'llama' });
    expect(await engine.peer.request('models.info', { model })).toMatchObject({ ref: model, family: 'gpt2' });
    expect((await engine.peer.request('models.list', null))[0]).toMatchObject({ ref: 'small-world', state: 'bundled' });
  });

  it.each([
    ['a path that does not exist', request('x', { model: '/no/such/model' }), 'model-not-found'],
    ['a prompt with no token', request(''), 'prompt-empty'],
    ['a position outside of the prompt', request('The cat', { position: 99 }), 'bad-input'],
    ['an observable of several tokens', request('The cat', { observable: { qzxjvq: 1 } }), 'token-splits'],
    ['an observable without terms', request('The cat', { observable: {} }), 'bad-input'],
  ] as const)('refuses %s', async (_name, asked, code) => {
    const error = await failure(engine.peer.request('trace', asked));
    expect(error.code).toBe(code);
    expect(error.message).not.toMatch(/\n|\bat .*\.(ts|cjs):\d/);
  });

  it('says of a position outside of the prompt how many tokens there are', async () => {
    const error = await failure(engine.peer.request('trace', request('The cat', { position: 99 })));
    const { tokens } = await engine.peer.request('trace', request('The cat'));
    expect(error.data).toEqual({ position: 99, length: tokens.length });
  });

  it('traces what fits of a prompt longer than the context, and says so', async () => {
    const { nCtx } = await engine.peer.request('models.info', { model });
    const document = await engine.peer.request('trace', request('a b c d '.repeat(nCtx)));
    expect(document.tokens).toHaveLength(nCtx);
    expect(document.tokensInText).toBeGreaterThan(nCtx);
    expect(document.warnings.length).toBeGreaterThan(0);
  });

  it('takes 1 MB of text', async () => {
    const text = 'The quick brown fox, 12 345 times. '.repeat(30_000).slice(0, 1_000_000);
    const document = await engine.peer.request('trace', request(text));
    expect(document.tokensInText).toBeNull();
    expect(document.warnings.join()).toContain('more than');
  });

  it('takes NUL bytes, lone surrogates and control characters', async () => {
    const document = await engine.peer.request('trace', request('a\0b\ud800c\u0007\u202e'));
    expect(Number.isFinite(document.observable.value)).toBe(true);
  });

  it('ignores messages that are none, and goes on', async () => {
    for (const junk of ['x', 7, { kind: 'request' }, { kind: 'ok', id: 1e6 }, []]) engine.child.send(junk);
    expect(await engine.peer.request('models.info', { model })).toMatchObject({ family: 'gpt2' });
    expect(engine.log.join('')).toContain('malformed');
  });

  it('cancels a running trace and a waiting one at once', async () => {
    const long = request('word '.repeat(60), { method: 'occlusion' });
    const controllers = Array.from({ length: 40 }, () => new AbortController());
    const started = Date.now();
    const cancelled = controllers.map(({ signal }, i) =>
      failure(
        engine.peer.request(
          'trace',
          { ...long, prompt: `${i} ${long.prompt}` },
          {
            signal,
            onProgress: () => {
              for (const controller of controllers) controller.abort();
            },
          },
        ),
      ),
    );
    // The first may have been done before its cancel arrived.
    cancelled[0]?.catch(() => undefined);
    const codes = new Set((await Promise.all(cancelled.slice(1))).map(({ code }) => code));
    expect(codes).toEqual(new Set(['cancelled']));
    expect(Date.now() - started).toBeLessThan(5000);
    expect((await engine.peer.request('trace', request('after'))).complete).toBe(true);
  });

  it.skipIf(!hasSmollm2)(`cancels a long trace of the real model within a second or two${smollm2Reason}`, async () => {
    const long = {
      ...request('The nurse said that she was tired. '.repeat(60)),
      model: smollm2File,
      method: 'occlusion',
    } as const;
    await engine.peer.request('models.load', { model: smollm2File });
    const controller = new AbortController();
    let aborted = 0;
    const trace = engine.peer.request('trace', long, {
      signal: controller.signal,
      onProgress: ({ done }) => {
        if (done === 0 || aborted > 0) return;
        aborted = Date.now();
        controller.abort();
      },
    });
    expect((await failure(trace)).code).toBe('cancelled');
    expect(Date.now() - aborted).toBeLessThan(2000);
  });

  it('survives being killed in the middle of a trace: engine-stopped, and a new process works', async () => {
    const first = forkEngine({ cacheDir });
    let killed = false;
    const pending = Array.from({ length: 30 }, (_, i) =>
      failure(
        first.peer.request('trace', request(`${i} ${'word '.repeat(60)}`, { method: 'occlusion' }), {
          onProgress: () => {
            if (!killed) first.child.kill('SIGKILL');
            killed = true;
          },
        }),
      ),
    );
    expect((await pending.at(-1))?.code).toBe('engine-stopped');
    await Promise.allSettled(pending);
    expect((await failure(first.peer.request('models.list', null))).code).toBe('engine-stopped');
    const second = forkEngine({ cacheDir });
    expect((await second.peer.request('trace', request('The cat'))).complete).toBe(true);
    await stopEngine(second);
  });

  it('exits when its parent goes away', async () => {
    const orphan = forkEngine({ cacheDir });
    await orphan.hello;
    const gone = once(orphan.child, 'exit');
    orphan.child.disconnect();
    const [code] = await gone;
    expect(code).toBe(0);
  });

  it('explains itself when started by hand', () => {
    const { status, stderr } = spawnSync(process.execPath, [resolve(root, 'dist/engine.cjs')], { encoding: 'utf8' });
    expect(status).toBe(2);
    expect(stderr).toContain('is started by Mechanist');
  });
});
