import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import { llamaGguf } from '../../support/smallModels.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';
import {
  load,
  maxDelta,
  type RandomModelFigures,
  REFERENCE,
  readFigures,
  unpack,
} from '../reference/referenceFigures.ts';

const figures = readFigures<RandomModelFigures>('models', 'qwen2', 'expected.json');

/** Opens a model for the time of one test. */
async function opened(path: string): Promise<AnalysisEngine> {
  const engine = await load(path, temporaryFolder());
  onTestFinished(() => engine.close());
  return engine;
}

async function openGguf(bytes: Uint8Array): Promise<AnalysisEngine> {
  const file = join(temporaryFolder(), 'tiny.gguf');
  await writeFile(file, bytes);
  return await opened(file);
}

async function logitsOf({ runner }: AnalysisEngine, ids: readonly number[]) {
  return (await runner.logits([ids], { positions: 'all' })).data;
}

// Biases on q, k and v only, rotary halves that llama.cpp does not permute, `qwen2.` keys.
describe('a GGUF file of Qwen2', () => {
  it('gives config and logits of the folder that it was made from, and the logits of transformers', async () => {
    const folder = await opened(join(REFERENCE, 'models', 'qwen2'));
    const file = await openGguf(llamaGguf('qwen2', {}, [], 'qwen2'));
    expect(file.model.config).toEqual(folder.model.config);
    for (const { ids, logits } of figures.prompts) {
      const data = await logitsOf(file, ids);
      expect(maxDelta(data, await logitsOf(folder, ids))).toBe(0);
      expect(maxDelta(data, unpack(logits))).toBeLessThanOrEqual(figures.tolerance);
    }
  });

  it('would not with rows permuted as for llama', async () => {
    const permuted = await openGguf(llamaGguf('qwen2', { 'general.architecture': { text: 'qwen2' }, ...qwen2Keys() }));
    const [{ ids, logits }] = figures.prompts;
    expect(maxDelta(await logitsOf(permuted, ids), unpack(logits))).toBeGreaterThan(0.01);
  });
});

/** The sizes of the reference model under the keys of its own architecture. */
function qwen2Keys() {
  const sizes = { block_count: 3, context_length: 64, embedding_length: 32, feed_forward_length: 48 };
  const attention = { head_count: 4, head_count_kv: 2, key_length: 8, value_length: 8 };
  return {
    ...Object.fromEntries(Object.entries(sizes).map(([key, uint32]) => [`qwen2.${key}`, { uint32 }])),
    ...Object.fromEntries(Object.entries(attention).map(([key, uint32]) => [`qwen2.attention.${key}`, { uint32 }])),
    'qwen2.rope.dimension_count': { uint32: 8 },
    'qwen2.rope.freq_base': { float32: 10000 },
    'qwen2.attention.layer_norm_rms_epsilon': { float32: 1e-5 },
  };
}
