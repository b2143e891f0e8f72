import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import { gradientTimesInput, integratedGradients } from '../../../src/core/analyses/integratedGradients.ts';
import { load, maxDelta, mechanistCache, type Packed, readFigures, smollm2File, unpack } from './referenceFigures.ts';

interface Tokens {
  readonly gradientTimesInput: { readonly value: number; readonly attributions: Packed };
  readonly integratedGradients: {
    readonly steps: number;
    readonly baselineValue: number;
    readonly value: number;
    readonly attributions: Packed;
  };
}

interface Steered {
  readonly positions: readonly number[] | null;
  readonly value: number;
  readonly top: { readonly ids: readonly number[]; readonly logits: Packed };
}

interface Figures {
  readonly tolerance: number;
  readonly prompts: readonly {
    readonly clean: string;
    readonly answer: number;
    readonly foil: number;
    readonly cleanValue: number;
    readonly tokens?: Tokens;
    readonly steering?: {
      readonly hook: string;
      readonly vector: Packed;
      readonly everywhere: Steered;
      readonly last: Steered;
    };
  }[];
}

const file = smollm2File();
const { tolerance, prompts } = readFigures<Figures>('interventions-smollm2.json');

describe.skipIf(file === null)('SmolLM2 against PyTorch', () => {
  let engine: AnalysisEngine;
  beforeAll(async () => {
    engine = await load(file ?? '', mechanistCache());
  });
  afterAll(async () => {
    await engine.close();
  });

  it('attributes to tokens by gradient × input and integrated gradients', async () => {
    for (const { clean, answer, foil, tokens } of prompts) {
      if (tokens === undefined) continue;
      const { model, runner, cache } = engine;
      const context = { model, runner, cache, version: 'test' };
      const ids = Int32Array.from(model.tokenizer.encode(clean), ({ id }) => id);
      const terms = [
        { id: answer, text: '', weight: 1 },
        { id: foil, text: '', weight: -1 },
      ];
      const product = await gradientTimesInput(context, ids, ids.length - 1, terms);
      expect(maxDelta(product, unpack(tokens.gradientTimesInput.attributions))).toBeLessThan(tolerance);
      const { steps, baselineValue, value, attributions } = tokens.integratedGradients;
      const found = await integratedGradients(context, ids, ids.length - 1, terms, steps);
      expect(Math.abs(found.baselineValue - baselineValue)).toBeLessThan(tolerance);
      expect(Math.abs(found.value - value)).toBeLessThan(tolerance);
      expect(maxDelta(found.attributions, unpack(attributions))).toBeLessThan(5 * tolerance);
    }
  }, 120_000);

  it('steers along a vector, at every position and at the last', async () => {
    for (const { clean, answer, foil, cleanValue, steering } of prompts) {
      if (steering === undefined) continue;
      const direction = { kind: 'vector' as const, values: Array.from(unpack(steering.vector)) };
      for (const { positions, value, top } of [steering.everywhere, steering.last]) {
        const document = await engine.steer({
          ...{ model: 'test', prompt: { clean, answer, foils: [foil] }, hook: steering.hook, direction, unit: false },
          ...(positions && { positions }),
          factors: [1, 0],
        });
        const [steered, unchanged] = document.steered;
        expect(Math.abs(document.clean.value - cleanValue)).toBeLessThan(tolerance);
        expect(unchanged.value).toBe(document.clean.value);
        expect(Math.abs(steered.value - value)).toBeLessThan(tolerance);
        expect(steered.next.map(({ id }) => id)).toEqual(top.ids);
        const logits = steered.next.map(({ logit }) => logit);
        expect(maxDelta(logits, unpack(top.logits))).toBeLessThan(tolerance);
      }
    }
  }, 60_000);

  it('steers towards a token, and from one prompt to another', async () => {
    const prompt = { clean: 'The nurse said that', answer: ' she', foils: [' he'] };
    const base = { model: 'test', prompt, hook: 'blocks.20.hook_resid_post', factors: [-40, 40] };
    const toward = await engine.steer({ ...base, direction: { kind: 'unembedding', toward: ' she', away: ' he' } });
    expect(toward.steered[0].value).toBeLessThan(toward.clean.value);
    expect(toward.steered[1].value).toBeGreaterThan(toward.clean.value);
    const between = { kind: 'prompts' as const, plus: 'The king said that', minus: 'The queen said that' };
    const prompts = await engine.steer({ ...base, direction: between });
    expect(prompts.steered[1].value).toBeLessThan(prompts.steered[0].value);
    await expect(engine.steer({ ...base, direction: { ...between, minus: between.plus } })).rejects.toMatchObject({
      code: 'bad-input',
    });
    await expect(engine.steer({ ...base, hook: 'blocks.3.hook_resit', direction: between })).rejects.toThrow(
      'Did you mean',
    );
  });
});
