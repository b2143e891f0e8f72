import { mkdtempSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ModelRunner } from '../src/core/engine/modelRunner.ts';
import type { ModelConfig } from '../src/core/models/modelConfig.ts';
import type { LinearWeights, ModelWeights, NormWeights, TensorLocation } from '../src/core/models/modelWeights.ts';
import { headNorms, unscaled } from '../src/core/observables/headNorms.ts';

/** GPT-Neo-1.3B but for its vocabulary and MLPs, which head norms do not read. */
const CONFIG: ModelConfig = {
  ...{ family: 'gpt_neo', nLayers: 24, nHeads: 16, nKeyValueHeads: 16, dModel: 2048, dHead: 128, dMlp: 8192 },
  ...{ dVocab: 64, nCtx: 2048, norm: { kind: 'layernorm', eps: 1e-5 }, positions: { kind: 'learned' } },
  attention: { scale: 1, windows: new Array<null>(24).fill(null) },
  mlp: { gated: false, activation: 'gelu_new' },
  parallelResidual: false,
};
const ROUNDS = 9;
const OBSERVABLES = [1, 4];

/** Random numbers, one stretch after another of one file. */
async function writeWeights(file: string): Promise<ModelWeights> {
  const handle = await open(file, 'w');
  let offset = 0;
  const tensor = async (shape: readonly number[]): Promise<TensorLocation> => {
    const values = new Float32Array(shape.reduce((a, b) => a * b, 1)).map(() => Math.random() - 0.5);
    await handle.write(new Uint8Array(values.buffer));
    const location = { file, offset, byteLength: values.byteLength, shape };
    offset += values.byteLength;
    return location;
  };
  const { dModel, dVocab, nLayers } = CONFIG;
  const norm: NormWeights = { gain: await tensor([dModel]), bias: await tensor([dModel]) };
  const linear = async (bias: TensorLocation | null): Promise<LinearWeights> => ({
    ...{ weight: await tensor([dModel, dModel]), layout: 'out_in', bias },
  });
  const embed = await tensor([dVocab, dModel]);
  const unread: LinearWeights = { weight: embed, layout: 'out_in', bias: null };
  const blocks = [];
  for (let layer = 0; layer < nLayers; layer += 1) {
    const qkv = { kind: 'separate' as const, q: unread, k: unread, v: await linear(null) };
    const mlp = { in: unread, gate: null, out: unread };
    blocks.push({ norm1: norm, attention: { qkv, out: await linear(norm.bias) }, norm2: norm, mlp });
  }
  await handle.close();
  return { embed, positionEmbed: null, blocks, finalNorm: norm, unembed: unread };
}

const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[values.length >> 1];

/** Norms of all heads, again and again; the first round also makes the graphs and maps the weights. */
async function measure(threads: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'mechanist-bench-'));
  try {
    const runner = await ModelRunner.open(
      { config: CONFIG, weights: await writeWeights(join(folder, 'weights.bin')) },
      { threads },
    );
    for (const count of OBSERVABLES) {
      const directions: Float64Array[] = [];
      for (let i = 0; i < count; i += 1) {
        const { direction } = await runner.unembedding.direction([i, i + 8].map((id) => ({ id, weight: 1 })));
        directions.push(unscaled(runner.finalNorm, direction));
      }
      const [wall, cpu]: [number[], number[]] = [[], []];
      for (let round = 0; round < ROUNDS; round += 1) {
        const [started, before] = [performance.now(), process.cpuUsage()];
        await headNorms({ runner }, directions, { gains: true });
        const used = process.cpuUsage(before);
        wall.push(performance.now() - started);
        cpu.push((used.user + used.system) / 1000);
      }
      const [first, ...rest] = wall;
      const line = {
        observables: count,
        threads,
        firstMs: first,
        medianMs: median(rest),
        leastMs: Math.min(...rest),
        medianCpuMs: median(cpu.slice(1)),
      };
      process.stdout.write(
        `${JSON.stringify(line, (_, value) => (typeof value === 'number' ? Math.round(value) : value))}\n`,
      );
    }
    await runner.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
}

await measure(Number(process.argv[2] ?? 1));
