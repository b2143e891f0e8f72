import { describe, expect, it } from 'vitest';
import type { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import { type ModelFigures, maxDelta, type PromptFigures, scaleOf, unpack } from './referenceFigures.ts';

function hooksOf(prompt: PromptFigures): string[] {
  return [
    ...prompt.hidden.map(({ layer }) => `blocks.${layer}.hook_resid_post`),
    ...(prompt.patterns ?? []).map(({ layer }) => `blocks.${layer}.attn.hook_pattern`),
  ];
}

/**
 * Holds a model against the figures of HF transformers, prompt by prompt: token ids, logits at the last position, the
 * residual stream and attention patterns.
 */
export function describeParity(figures: ModelFigures, loaded: () => AnalysisEngine): void {
  const prompts = figures.prompts.map((prompt) => ({ prompt, name: JSON.stringify(prompt.text.slice(0, 40)) }));

  it('is the model that the figures were made with', () => {
    expect(loaded().model.info.hash).toBe(figures.modelHash);
  });

  describe.each(prompts)('$name', ({ prompt }) => {
    it('has the same tokens', () => {
      const tokens = loaded().model.tokenizer.encode(prompt.text);
      expect(tokens.map(({ id }) => id)).toEqual(prompt.ids);
    });

    it('has the same logits at the last position', async () => {
      const { data } = await loaded().runner.logits([prompt.ids]);
      const at = (ids: readonly number[]) => ids.map((id) => data[id]);
      expect(maxDelta(at(figures.sampleIds), unpack(prompt.sample))).toBeLessThanOrEqual(figures.tolerance);
      expect(maxDelta(at(prompt.top.ids), unpack(prompt.top.logits))).toBeLessThanOrEqual(figures.tolerance);
      if (prompt.logits) expect(maxDelta(data, unpack(prompt.logits))).toBeLessThanOrEqual(figures.tolerance);
      expect(prompt.top.ids[0]).toBe(data.indexOf(Math.max(...data)));
    });

    it('has the same residual stream and attention', async () => {
      const { activations } = await loaded().runner.run([prompt.ids], { hooks: [...new Set(hooksOf(prompt))] });
      for (const { layer, position, step, values } of prompt.hidden) {
        const resid = activations.get(`blocks.${layer}.hook_resid_post`);
        const width = resid?.dims[2] ?? 0;
        const row = resid?.data.subarray(position * width, (position + 1) * width) ?? [];
        const expected = unpack(values);
        const actual = Array.from(row).filter((_, i) => i % step === 0);
        // Single dimensions of the first token reach thousands: the tolerance is relative to the largest.
        expect(maxDelta(actual, expected) / scaleOf(expected), `L${layer} position ${position}`).toBeLessThan(1e-4);
      }
      for (const { layer, head, rows } of prompt.patterns ?? []) {
        const pattern = activations.get(`blocks.${layer}.attn.hook_pattern`);
        const size = prompt.ids.length ** 2;
        const own = pattern?.data.subarray(head * size, (head + 1) * size) ?? [];
        expect(maxDelta(own, unpack(rows)), `L${layer}.H${head}`).toBeLessThan(1e-4);
      }
    });
  });
}
