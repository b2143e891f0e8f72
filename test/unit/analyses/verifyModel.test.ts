import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import { verifyModel } from '../../../src/core/analyses/verifyModel.ts';
import { openModelFiles } from '../../../src/core/models/openModelFiles.ts';
import type { ReferenceLogits } from '../../../src/core/models/verifyReference.ts';
import type { Progress } from '../../../src/shared/progress.ts';

const folder = resolve(import.meta.dirname, '../../reference/models/gpt2');

interface Expected {
  readonly prompts: readonly { readonly ids: readonly number[]; readonly logits: { dims: number[]; f32: string } }[];
}

let engine: AnalysisEngine;
let reference: ReferenceLogits;

/** Last-position logits of some entries, from transformers' own logits. */
function referenceOf(hash: string): ReferenceLogits {
  const { prompts } = JSON.parse(readFileSync(resolve(folder, 'expected.json'), 'utf8')) as Expected;
  return {
    schemaVersion: 1,
    modelHash: hash,
    reference: 'transformers',
    tolerance: 1e-4,
    prompts: prompts.map(({ ids, logits }) => {
      const bytes = Buffer.from(logits.f32, 'base64');
      const width = logits.dims.at(-1) ?? 0;
      const sampleIds = [3, 0, width - 1, 7];
      const last = bytes.length / 4 - width;
      return { ids, sampleIds, logits: sampleIds.map((id) => bytes.readFloatLE((last + id) * 4)) };
    }),
  };
}

beforeAll(async () => {
  const model = await openModelFiles(folder, { ref: 'gpt2', cacheDir: '/nonexistent', availableBytes: 8e9 });
  engine = await AnalysisEngine.open(model, { threads: 1, cacheBytes: 1e6, version: 'test' });
  reference = referenceOf(model.info.hash);
});
afterAll(() => engine.close());

describe('verifying a model', () => {
  it("passes on transformers' own logits, with progress in prompts", async () => {
    const seen: Progress[] = [];
    const report = await verifyModel(engine, reference, { onProgress: (progress) => seen.push(progress) });
    expect(report).toMatchObject({ ref: 'gpt2', passed: true, prompts: reference.prompts.length });
    expect(report.maxAbsLogitDelta).toBeLessThan(1e-4);
    expect(seen.at(-1)).toMatchObject({ done: reference.prompts.length, total: reference.prompts.length });
  });

  it.each([
    ['one logit is off', (logit: number) => logit + 0.5, 0.5],
    ['a reference is no number', () => Number.NaN, Number.NaN],
  ])('fails when %s', async (_name, change, delta) => {
    const [first, ...rest] = reference.prompts;
    if (first === undefined) throw new Error('no prompts');
    const logits = first.logits.map((logit, i) => (i === 2 ? change(logit) : logit));
    const report = await verifyModel(engine, { ...reference, prompts: [{ ...first, logits }, ...rest] });
    expect(report.passed).toBe(false);
    expect(report.maxAbsLogitDelta.toFixed(2)).toBe(delta.toFixed(2));
  });

  it('refuses a reference of another weight file, and stops when cancelled', async () => {
    await expect(verifyModel(engine, { ...reference, modelHash: 'f'.repeat(64) })).rejects.toMatchObject({
      code: 'hash-mismatch',
    });
    await expect(verifyModel(engine, reference, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'cancelled',
    });
  });
});
