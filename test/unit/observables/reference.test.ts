import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import { type FeatureVector, featureVector } from '../../../src/core/observables/featureVector.ts';
import { dot, length } from '../../../src/core/observables/vectors.ts';
import type { LinearisationPoint, NormMode } from '../../../src/shared/features.ts';
import { type Packed, readReference, unpack } from '../../support/gradients.ts';
import { hasSmollm2, smollm2File, smollm2Reason } from '../../support/smollm2.ts';
import { load, REFERENCE } from '../reference/referenceFigures.ts';

interface Case {
  readonly path: string;
  readonly norm: NormMode;
  readonly point: LinearisationPoint;
  readonly vector: Packed;
  readonly length: number;
  readonly offset: number | null;
  readonly norms: readonly { readonly norm: string; readonly rho: number; readonly angle: number }[];
}

interface Figures {
  readonly model: string;
  readonly ids: readonly number[];
  readonly partner: readonly number[];
  readonly terms: readonly { readonly id: number; readonly weight: number }[];
  readonly cases: readonly Case[];
  readonly coupling: readonly { readonly a: number; readonly b: number; readonly value: number }[];
}

const { models } = readReference<{ models: readonly Figures[] }>('observables.json');

/**
 * Against torch.autograd, stage by stage in float64 (`scripts/reference/observables.py`). Of SmolLM2 the norm of the stream is carried by
 * a few entries, so float32 activations leave a little more.
 */
describe.each(models)(
  'feature vectors of $model against PyTorch',
  ({ model, ids, partner, terms, cases, coupling }) => {
    const real = model === 'smollm2-135m';
    const observable = { label: '', terms: terms.map((term) => ({ ...term, text: '' })) };
    const made: FeatureVector[] = [];
    let engine: AnalysisEngine;
    let cache: string;
    const runs = it.runIf(!real || hasSmollm2);
    const reason = real ? smollm2Reason : '';

    beforeAll(async () => {
      if (real && !hasSmollm2) return;
      cache = mkdtempSync(join(tmpdir(), 'mechanist-observables-'));
      engine = await load(real ? smollm2File : join(REFERENCE, 'models', model), cache);
      for (const { path, norm, point } of cases) {
        made.push(await featureVector(engine, { observable, path, norm, point }, { ids, partner }));
      }
    }, 120_000);
    afterAll(async () => {
      if (engine === undefined) return;
      await engine.close();
      rmSync(cache, { recursive: true, force: true });
    });

    runs(`have its directions, lengths and offsets${reason}`, () => {
      cases.forEach(({ path, norm, point, vector, length: size, offset }, i) => {
        const name = `${path} ${norm} ${point}`;
        const { data } = unpack(vector);
        const own = made[i].vector;
        expect(dot(own, data) / (length(own) * length(data)), name).toBeGreaterThan(0.9999);
        expect(Math.abs(length(own) / size - 1), name).toBeLessThan(1e-3);
        if (offset === null) return;
        const scale = Math.max(1, Math.abs(offset));
        expect(Math.abs(made[i].offset - offset), name).toBeLessThan(1e-3 * scale);
      });
    });

    runs(`have its ρ and angles at every norm${reason}`, () => {
      cases.forEach(({ path, norm, point, norms }, i) => {
        const name = `${path} ${norm} ${point}`;
        expect(
          made[i].norms.map((passed) => passed.norm),
          name,
        ).toEqual(norms.map((passed) => passed.norm));
        norms.forEach(({ rho, angle }, n) => {
          expect(Math.abs(made[i].norms[n].rho - rho), name).toBeLessThan(1e-3);
          expect(Math.abs(made[i].norms[n].angle - angle), name).toBeLessThan(1e-3);
        });
      });
    });

    runs(`have its coupling coefficients${reason}`, () => {
      expect(coupling.length).toBeGreaterThan(50);
      for (const { a, b, value } of coupling) {
        const found = dot(made[a].vector, made[b].vector) / dot(made[a].vector, made[a].vector);
        expect(Math.abs(found - value), `${a} ${b}`).toBeLessThan(
          1e-3 * Math.max(1, length(made[b].vector) / length(made[a].vector)),
        );
      }
    });
  },
);
