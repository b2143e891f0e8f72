import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Backward } from '../../../src/core/engine/backward/backward.ts';
import { allHookPoints, hookName } from '../../../src/core/engine/hookPoints.ts';
import { ModelRunner } from '../../../src/core/engine/modelRunner.ts';
import { openModelFiles } from '../../../src/core/models/openModelFiles.ts';
import { distance, type Packed, readReference, unpack } from '../../support/gradients.ts';
import { referenceModels } from '../../support/smallModels.ts';

interface Reference {
  readonly ids: number[];
  readonly answer: number;
  readonly foil: number;
  readonly gradients: {
    readonly value: number;
    readonly hooks: Record<string, Packed>;
    readonly weights: Record<string, { shape: number[]; norm: number; indices: number[]; values: Packed }>;
  };
}

/** Hugging Face's names of modules → ours. */
const MODULES: readonly (readonly [RegExp, string])[] = [
  [/^(?:transformer|model|gpt_neox)\./, ''],
  [/^(?:h|layers)\.(\d+)\./, 'blocks.$1.'],
  [/\.(?:ln_1|input_layernorm)\./, '.norm1.'],
  [/\.(?:ln_2|post_attention_layernorm)\./, '.norm2.'],
  [/^(?:ln_f|norm|final_layer_norm)\./, 'finalNorm.'],
  [/\.(?:attn\.c_attn|attention\.query_key_value)\./, '.attention.qkv.'],
  [/\.(?:self_attn|attn\.attention)\.([qkv])_proj\./, '.attention.$1.'],
  [/\.(?:attn\.c_proj|attn\.attention\.out_proj|attention\.dense|self_attn\.o_proj)\./, '.attention.out.'],
  [/\.mlp\.(?:c_fc|dense_h_to_4h|up_proj)\./, '.mlp.in.'],
  [/\.mlp\.gate_proj\./, '.mlp.gate.'],
  [/\.mlp\.(?:c_proj|dense_4h_to_h|down_proj)\./, '.mlp.out.'],
  [/((?:norm1|norm2|finalNorm)\.)weight$/, '$1gain'],
];

/**
 * Largest difference relative to the largest number: float32 rounding. PyTorch in float32 is 2e-5 from these figures for
 * GPT-Neo, whose scores are not scaled, and 2e-5 at norm scales, where d_model terms of either sign cancel.
 */
const TOLERANCE = 1e-5;
const NEO_TOLERANCE = 3e-5;
const SCALE_TOLERANCE = 5e-4;

function ownName(name: string): string {
  return MODULES.reduce((result, [pattern, text]) => result.replace(pattern, text), name);
}

describe.each(readdirSync(referenceModels))('gradients of %s agree with PyTorch', (name) => {
  const { ids, answer, foil, gradients } = readReference<Reference>(`interventions-${name}.json`);
  const objective = {
    kind: 'metric' as const,
    metric: { kind: 'logit-difference' as const, foil: 'one' as const },
    targets: [[{ name: '', position: ids.length - 1, answer, foils: [foil] }]],
  };
  const tolerance = name === 'gpt-neo' ? NEO_TOLERANCE : TOLERANCE;
  let runner: ModelRunner;
  let cacheDir: string;

  beforeAll(async () => {
    cacheDir = mkdtempSync(join(tmpdir(), 'mechanist-gradients-'));
    const options = { ref: name, cacheDir, availableBytes: 8e9 };
    runner = await ModelRunner.open(await openModelFiles(join(referenceModels, name), options), { threads: 1 });
  });
  afterAll(async () => {
    await runner.close();
    rmSync(cacheDir, { recursive: true });
  });

  /** Autograd gives numbers for keys that a query must not look at; ours are 0. */
  const hide = (map: Float32Array, layer: number) => {
    const window = runner.config.attention.windows[layer] ?? ids.length;
    map.forEach((_, i) => {
      const [query, key] = [Math.floor(i / ids.length) % ids.length, i % ids.length];
      if (key > query || key <= query - window) map[i] = 0;
    });
  };

  it('at every hook point', async () => {
    const hooks = allHookPoints(runner.config)
      .map(hookName)
      .filter((hook) => hook in gradients.hooks);
    expect(hooks.length).toBe(Object.keys(gradients.hooks).length);
    const found = await new Backward(runner).gradients([ids], objective, { hooks });
    expect(Math.abs(found.values[0] - gradients.value)).toBeLessThan(1e-5);
    for (const hook of hooks) {
      const wanted = unpack(gradients.hooks[hook]);
      if (hook.endsWith('hook_pattern')) hide(wanted.data, Number(hook.split('.')[1]));
      const own = found.gradients.get(hook);
      expect(own?.dims, hook).toEqual(wanted.dims);
      const limit = hook.endsWith('hook_scale') ? SCALE_TOLERANCE : tolerance;
      expect(distance(own?.data ?? [], wanted.data), hook).toBeLessThan(limit);
    }
  });

  it('at every weight of the first and the last block and of the final norm', async () => {
    const names = Object.keys(gradients.weights);
    const own = names.map(ownName);
    const found = await new Backward(runner).weightGradients([ids], objective, { weights: own });
    names.forEach((hfName, i) => {
      const wanted = gradients.weights[hfName];
      const gradient = found.gradients.get(own[i]);
      expect(gradient?.dims, hfName).toEqual(wanted.shape);
      const norm = Math.sqrt(gradient?.data.reduce((sum, value) => sum + value ** 2, 0) ?? 0);
      expect(Math.abs(norm / wanted.norm - 1), hfName).toBeLessThan(tolerance);
      // A few entries; their scale is that of the whole gradient.
      const scale = Math.max(...(gradient?.data.map(Math.abs) ?? []));
      const values = unpack(wanted.values).data;
      const difference = Math.max(...wanted.indices.map((at, j) => Math.abs((gradient?.data[at] ?? 0) - values[j])));
      expect(difference / scale, hfName).toBeLessThan(tolerance);
    });
  });
});
