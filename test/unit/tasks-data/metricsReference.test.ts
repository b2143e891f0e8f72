import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { metricOfRow } from '../../../src/core/tasks/metrics.ts';
import type { AnswerTarget, FoilForm } from '../../../src/shared/metric.ts';

interface Figures {
  readonly logitDifferences: Readonly<Record<FoilForm, number>>;
  readonly logProb: number;
  readonly prob: number;
  readonly crossEntropy: number;
  readonly rank: number;
  readonly kl: number;
}

interface Reference {
  readonly model: string;
  readonly answer: number;
  readonly metrics: {
    readonly foils: readonly number[];
    readonly logits: { readonly dims: readonly [number, number]; readonly f32: string };
    readonly own: Figures;
    readonly other: Figures;
  };
}

const folder = 'test/reference';
const files = readdirSync(folder).filter((name) => /^interventions-(?!smollm2).*\.json$/.test(name));

// Made by scripts/reference/interventions.py: PyTorch, float64, from the same float32 logits.
describe('metrics give PyTorch’s figures', () => {
  it('for ten models', () => {
    expect(files).toHaveLength(10);
  });

  it.each(files)('%s', (name) => {
    const { answer, metrics } = JSON.parse(readFileSync(`${folder}/${name}`, 'utf8')) as Reference;
    const { dims, f32 } = metrics.logits;
    const bytes = Uint8Array.from(Buffer.from(f32, 'base64'));
    const logits = new Float32Array(bytes.buffer);
    const rows = [logits.subarray(0, dims[1]), logits.subarray(dims[1])];
    const target: AnswerTarget = { name: 'answer', position: 9, answer, foils: metrics.foils };
    for (const [index, wanted] of [metrics.own, metrics.other].entries()) {
      const row = rows[index];
      const one = { ...target, foils: metrics.foils.slice(0, 1) };
      expect(metricOfRow({ kind: 'logit-difference', foil: 'one' }, row, one)).toBeCloseTo(
        wanted.logitDifferences.one,
        10,
      );
      expect(metricOfRow({ kind: 'logit-difference', foil: 'mean' }, row, target)).toBeCloseTo(
        wanted.logitDifferences.mean,
        10,
      );
      expect(metricOfRow({ kind: 'logit-difference', foil: 'max' }, row, target)).toBeCloseTo(
        wanted.logitDifferences.max,
        10,
      );
      expect(metricOfRow({ kind: 'log-prob' }, row, target)).toBeCloseTo(wanted.logProb, 10);
      expect(metricOfRow({ kind: 'prob' }, row, target)).toBeCloseTo(wanted.prob, 12);
      expect(metricOfRow({ kind: 'cross-entropy' }, row, target)).toBeCloseTo(wanted.crossEntropy, 10);
      expect(metricOfRow({ kind: 'rank' }, row, target)).toBe(wanted.rank);
      expect(metricOfRow({ kind: 'kl' }, row, target, rows[0])).toBeCloseTo(wanted.kl, 10);
    }
  });
});
