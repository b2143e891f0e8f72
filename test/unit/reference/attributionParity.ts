import { describe, expect, it } from 'vitest';
import type { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import type { TraceRequest } from '../../../src/shared/engineProtocol.ts';
import { type AttributionFigures, type ModelFigures, maxDelta, unpack } from './referenceFigures.ts';

/** Logits. The figures sum in float64 over float32 activations of another program. */
const TOLERANCE = 1e-3;

interface Case {
  readonly request: TraceRequest;
  readonly expected: AttributionFigures;
  readonly name: string;
}

/** Prompts with an observable: direct logit attribution and its parts, the logit lens, and occlusion where it was made. */
export function describeAttribution(figures: ModelFigures, engine: () => AnalysisEngine): void {
  const cases = figures.prompts.flatMap(({ text, observable, attribution }): Case[] => {
    if (observable === undefined || attribution === undefined) return [];
    const request = { model: 'reference', prompt: text, observable: observable.spec, method: 'direct' as const };
    return [{ request, expected: attribution, name: JSON.stringify(text) }];
  });

  it('has attribution figures for at least 5 prompts, occlusion for 3', () => {
    expect(cases.length).toBeGreaterThanOrEqual(5);
    expect(cases.filter(({ expected }) => expected.occlusion).length).toBeGreaterThanOrEqual(3);
  });

  describe.each(cases)('$name', ({ request, expected }) => {
    it('has the same direct logit attribution, part by part and by source', async () => {
      const { observable, direct, attributions, position } = await engine().trace(request);
      expect(position).toBe(expected.position);
      expect(observable.terms.map(({ id, weight }) => ({ id, weight }))).toEqual(expected.terms);
      expect(Math.abs(observable.value - expected.direct.value)).toBeLessThan(figures.tolerance);
      expect(maxDelta(direct.heads.flat(), unpack(expected.direct.heads)), 'heads').toBeLessThan(TOLERANCE);
      expect(maxDelta(direct.mlps, unpack(expected.direct.mlps)), 'mlps').toBeLessThan(TOLERANCE);
      for (const part of ['embedding', 'positionEmbedding', 'bias'] as const) {
        expect(Math.abs(direct[part] - expected.direct[part]), part).toBeLessThan(TOLERANCE);
      }
      expect(direct.bySource.dims).toEqual(expected.direct.bySource.dims);
      expect(maxDelta(direct.bySource.data, unpack(expected.direct.bySource)), 'bySource').toBeLessThan(TOLERANCE);
      expect(maxDelta(attributions, unpack(expected.direct.attributions)), 'attributions').toBeLessThan(TOLERANCE);
    });

    it('has the same logit lens', async () => {
      const { values, top, positions } = await engine().lens(request, expected.lens.positions);
      expect(positions).toEqual(expected.lens.positions);
      expect(maxDelta(values.flat(), expected.lens.values.flat())).toBeLessThan(figures.tolerance);
      const chances = (rows: AttributionFigures['lens']['top']) => rows.flat().map(({ p }) => p);
      expect(maxDelta(chances(top), chances(expected.lens.top))).toBeLessThan(TOLERANCE);
      // Where the best two are all but equal, either may come first.
      const clear = expected.lens.top.flat().map(({ p }, i) => (p > 0.51 ? i : -1));
      for (const i of clear.filter((at) => at >= 0)) expect(top.flat()[i].id).toBe(expected.lens.top.flat()[i].id);
    });

    const { occlusion } = expected;
    if (occlusion === undefined) return;
    it('has the same occlusion attributions', async () => {
      const { attributions } = await engine().trace({ ...request, method: 'occlusion' });
      expect(maxDelta(attributions, occlusion)).toBeLessThan(figures.tolerance);
    });
  });
}
