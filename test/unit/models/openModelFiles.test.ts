import { readFileSync } from 'node:fs';
import { readdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { RotaryPositions } from '../../../src/core/models/modelConfig.ts';
import type { LinearWeights, ModelWeights, TensorLocation } from '../../../src/core/models/modelWeights.ts';
import type { OpenModel } from '../../../src/core/models/openModel.ts';
import { openModelFiles, readModelInfo } from '../../../src/core/models/openModelFiles.ts';
import type { Progress } from '../../../src/shared/progress.ts';
import { type GgufTensor, ggufBytes } from '../../support/ggufBytes.ts';
import {
  ggufName,
  ggufTokenizerMetadata,
  llamaGguf,
  modelFolder,
  type RawTensor,
  rawTensors,
  referenceModels,
  safetensorsBytes,
} from '../../support/smallModels.ts';
import { hasSmollm2, smollm2File, smollm2Reason } from '../../support/smollm2.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

function options(cacheDir: string) {
  return { ref: 'model', cacheDir, availableBytes: 8e9 };
}

function values({ file, offset, byteLength }: TensorLocation): number[] {
  const bytes = readFileSync(file).subarray(offset, offset + byteLength);
  return [...new Float32Array(new Uint8Array(bytes).buffer)];
}

/** `[in, out]`, however it is stored. */
function matrix({ weight, layout }: LinearWeights): number[] {
  const stored = values(weight);
  if (layout === 'in_out') return stored;
  const [rows, columns] = weight.shape;
  return Array.from({ length: stored.length }, (_, i) => stored[(i % rows) * columns + Math.floor(i / rows)]);
}

/** Every number of the model in one fixed order. */
function allNumbers(weights: ModelWeights): number[][] {
  const linear = (map: LinearWeights) => [matrix(map), ...(map.bias ? [values(map.bias)] : [])];
  return [
    values(weights.embed),
    ...(weights.positionEmbed ? [values(weights.positionEmbed)] : []),
    ...weights.blocks.flatMap(({ norm1, norm2, attention, mlp }) => {
      const { qkv } = attention;
      return [
        values(norm1.gain),
        values(norm2.gain),
        ...(qkv.kind === 'separate' ? [qkv.q, qkv.k, qkv.v] : [qkv.qkv]).flatMap(linear),
        ...[attention.out, mlp.in, ...(mlp.gate ? [mlp.gate] : []), mlp.out].flatMap(linear),
      ];
    }),
    values(weights.finalNorm.gain),
    matrix(weights.unembed),
  ];
}

async function openReference(name: string): Promise<OpenModel> {
  return openModelFiles(join(referenceModels, name), options(temporaryFolder()));
}

function weightsOf(name: string): RawTensor[] {
  return rawTensors(join(referenceModels, name, 'model.safetensors'));
}

describe('Hugging Face folders', () => {
  it('uses float32 weights where they lie', async () => {
    const cache = temporaryFolder();
    const { info, weights, config } = await openModelFiles(join(referenceModels, 'gpt2'), options(cache));
    expect(weights.embed.file).toBe(join(referenceModels, 'gpt2', 'model.safetensors'));
    expect(await readdir(cache)).toEqual(['hashes']);
    expect(info).toMatchObject({ family: 'gpt2', storedAs: 'F32', label: 'gpt2 F32', dVocab: 272 });
    expect(info.parameters).toBe(allNumbers(weights).flat().length - 272 * 32 + config.nLayers * 2 * 32 + 32);
    const qkv = weights.blocks[1].attention.qkv;
    const raw = weightsOf('gpt2').find(({ name }) => name === 'transformer.h.1.attn.c_attn.weight');
    expect(qkv.kind === 'fused' && values(qkv.qkv.weight)).toEqual([
      ...new Float32Array(raw?.bytes.slice().buffer ?? new ArrayBuffer(0)),
    ]);
  });

  it('ties the unembedding where the config says so, and only there', async () => {
    const tied = await openReference('llama-tied');
    expect(tied.weights.unembed).toEqual({ weight: tied.weights.embed, layout: 'out_in', bias: null });
    const untied = await openReference('llama-untied-llama3');
    expect(untied.weights.unembed.weight.offset).not.toBe(untied.weights.embed.offset);
  });

  it.each(['F16', 'BF16'])('casts %s once, exactly', async (dtype) => {
    const original = weightsOf('llama-tied').map((tensor) => narrow(tensor, dtype));
    const folder = await modelFolder(temporaryFolder(), 'llama-tied', {
      'model.safetensors': safetensorsBytes(original.map(({ narrowed }) => narrowed)),
    });
    const cache = temporaryFolder();
    const reports: Progress[] = [];
    const model = await openModelFiles(folder, { ...options(cache), onProgress: (report) => reports.push(report) });
    expect(model.info.storedAs).toBe(dtype);
    expect(model.weights.embed.file).toBe(join(cache, 'prepared', model.info.hash, 'model.safetensors'));
    const wanted = original.find(({ narrowed }) => narrowed.name === 'model.embed_tokens.weight');
    expect(values(model.weights.embed)).toEqual(wanted?.widened);
    expectProgress(reports);
    expect(reports.some(({ label }) => label.startsWith('Preparing'))).toBe(true);
    const again: Progress[] = [];
    await openModelFiles(folder, { ...options(cache), onProgress: (report) => again.push(report) });
    expectProgress(again);
    expect(again.some(({ label }) => label.startsWith('Preparing'))).toBe(false);
  });

  it('reads shards, and names with and without the prefix', async () => {
    const tensors = weightsOf('gpt2').map((tensor) => ({ ...tensor, name: tensor.name.replace('transformer.', '') }));
    const shards = [tensors.slice(0, 9), tensors.slice(9)];
    const weightMap = Object.fromEntries(
      shards.flatMap((shard, i) => shard.map(({ name }) => [name, `part-${i}.safetensors`])),
    );
    const folder = await modelFolder(temporaryFolder(), 'gpt2', {
      'part-0.safetensors': safetensorsBytes(shards[0]),
      'part-1.safetensors': safetensorsBytes(shards[1]),
      'model.safetensors.index.json': JSON.stringify({ metadata: {}, weight_map: weightMap }),
    });
    const sharded = await openModelFiles(folder, options(temporaryFolder()));
    expect(allNumbers(sharded.weights)).toEqual(allNumbers((await openReference('gpt2')).weights));
    expect(sharded.info.hash).toMatch(/^[0-9a-f]{64}$/);
  });

  it('reads the licence from the model card', async () => {
    const folder = await modelFolder(temporaryFolder(), 'gpt2', {
      'model.safetensors': readFileSync(join(referenceModels, 'gpt2', 'model.safetensors')),
      'README.md': '---\nlanguage: en\nlicense: apache-2.0\n---\n# A model\n',
    });
    expect((await readModelInfo(folder, options(temporaryFolder()))).licence).toBe('apache-2.0');
  });

  it('remembers the hash until the file changes', async () => {
    const folder = await modelFolder(temporaryFolder(), 'gpt2', {
      'model.safetensors': readFileSync(join(referenceModels, 'gpt2', 'model.safetensors')),
    });
    const cache = temporaryFolder();
    expect((await readModelInfo(folder, options(cache))).hash).toBeNull();
    const { hash } = (await openModelFiles(folder, options(cache))).info;
    expect((await readModelInfo(folder, options(cache))).hash).toBe(hash);
    await utimes(join(folder, 'model.safetensors'), 1, 1);
    expect((await readModelInfo(folder, options(cache))).hash).toBeNull();
  });
});

/** `total` is constant, `done` never falls, the last report is full. */
function expectProgress(reports: readonly Progress[]): void {
  expect(new Set(reports.map(({ total }) => total)).size).toBe(1);
  const done = reports.map((report) => report.done);
  expect(done).toEqual([...done].sort((a, b) => a - b));
  expect(reports.at(-1)?.done).toBe(reports.at(-1)?.total);
}

/** A float32 tensor in half the bytes, and the values that it then has. */
function narrow(tensor: RawTensor, dtype: string): { narrowed: RawTensor; widened: number[] } {
  const source = new Float32Array(tensor.bytes.slice().buffer);
  const bits = new Uint32Array(source.buffer);
  const out = new Uint16Array(source.length);
  const widened = Array.from(source, (value, i) => {
    if (dtype === 'BF16') {
      out[i] = bits[i] >>> 16;
      return new Float32Array(Uint32Array.of((bits[i] >>> 16) << 16).buffer)[0];
    }
    // Multiples of 1/128 below 8 are exact in a half: ten bits of fraction are enough.
    const rounded = Math.max(-7, Math.min(7, Math.round(value * 128) / 128));
    out[i] = halfBits(rounded);
    return rounded === 0 ? 0 : rounded;
  });
  return { narrowed: { ...tensor, dtype, bytes: new Uint8Array(out.buffer) }, widened };
}

function halfBits(value: number): number {
  if (value === 0) return 0;
  const exponent = Math.floor(Math.log2(Math.abs(value)));
  const fraction = Math.abs(value) / 2 ** exponent - 1;
  return (value < 0 ? 0x8000 : 0) | ((exponent + 15) << 10) | (fraction * 1024);
}

describe('GGUF files', () => {
  async function open(bytes: Uint8Array): Promise<OpenModel> {
    const file = join(temporaryFolder(), 'Tiny.gguf');
    await writeFile(file, bytes);
    return openModelFiles(file, options(temporaryFolder()));
  }

  it.each(['llama-tied', 'llama-untied-llama3'])('%s has the weights of the folder it was made from', async (name) => {
    const folder = await openReference(name);
    const gguf = await open(llamaGguf(name));
    expect(allNumbers(gguf.weights)).toEqual(allNumbers(folder.weights));
    const { positions, ...rest } = gguf.config;
    const { positions: wantedPositions, ...wanted } = folder.config;
    expect(rest).toEqual(wanted);
    expect(gguf.info).toMatchObject({ label: 'Tiny F32', licence: 'mit', parameters: folder.info.parameters });
    if (name === 'llama-tied') expect(positions).toEqual(wantedPositions);
  });

  it('divides the rotary frequencies by rope_freqs', async () => {
    const scaled = (await openReference('llama-untied-llama3')).config.positions as RotaryPositions;
    const factors = scaled.inverseFrequencies.map((f, i) => 10000 ** ((-2 * i) / scaled.rotaryDims) / f);
    const tensor: GgufTensor = {
      name: 'rope_freqs.weight',
      shape: [factors.length],
      type: 0,
      bytes: new Uint8Array(Float32Array.from(factors).buffer),
    };
    const gguf = await open(llamaGguf('llama-untied-llama3', {}, [tensor]));
    const { inverseFrequencies } = gguf.config.positions as RotaryPositions;
    for (const [i, f] of inverseFrequencies.entries()) expect(f / scaled.inverseFrequencies[i]).toBeCloseTo(1, 6);
  });

  it('reads GPT-2, whose matrices the converter turns', async () => {
    const folder = await openReference('gpt2');
    const { nLayers, nHeads, dModel, dMlp, nCtx, dVocab, norm } = folder.config;
    const tensors = weightsOf('gpt2').map(({ name, shape, bytes }): GgufTensor => {
      const turned = /(c_attn|c_proj|c_fc)\.weight$/.test(name);
      return {
        name: ggufName(name),
        shape: turned ? [...shape].reverse() : shape,
        type: 0,
        bytes: turned ? transpose(bytes, shape) : bytes,
      };
    });
    const gguf = await open(
      ggufBytes(
        {
          'general.architecture': { text: 'gpt2' },
          'gpt2.block_count': { uint32: nLayers },
          'gpt2.context_length': { uint32: nCtx },
          'gpt2.embedding_length': { uint32: dModel },
          'gpt2.feed_forward_length': { uint32: dMlp },
          'gpt2.attention.head_count': { uint32: nHeads },
          'gpt2.attention.layer_norm_epsilon': { float32: norm.eps },
          ...ggufTokenizerMetadata(dVocab),
        },
        tensors,
      ),
    );
    expect(gguf.config).toEqual(folder.config);
    expect(allNumbers(gguf.weights)).toEqual(allNumbers(folder.weights));
  });

  it('tokenizes by its metadata, and adds a BOS only when told to', async () => {
    const plain = (await open(llamaGguf('llama-tied'))).tokenizer;
    expect(plain.encode(' the').map(({ id }) => id)).toEqual([256, 257]);
    expect(plain.addsBos).toBe(false);
    const told = (await open(llamaGguf('llama-tied', { 'tokenizer.ggml.add_bos_token': { bool: true } }))).tokenizer;
    expect(told.encode('the<|end|>')).toEqual([
      { id: 258, text: '<|end|>', start: 0, end: 0 },
      { id: 't'.charCodeAt(0), text: 't', start: 0, end: 1 },
      { id: 257, text: 'he', start: 1, end: 3 },
      { id: 258, text: '<|end|>', start: 3, end: 10 },
    ]);
    expect(told.addsBos).toBe(true);
    expect(told.encodePiece('the')).toHaveLength(2);
  });

  it.skipIf(!hasSmollm2)(`SmolLM2-135M-Instruct${smollm2Reason}`, async () => {
    const reports: Progress[] = [];
    const { info, config, weights } = await openModelFiles(smollm2File, {
      ...options(temporaryFolder()),
      onProgress: (report) => reports.push(report),
    });
    expect(info.hash).toBe('b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53');
    expectProgress(reports);
    expect(reports.length).toBeGreaterThan(50);
    expect(info).toMatchObject({ storedAs: 'Q4_1', licence: 'apache-2.0', parameters: 134_515_008 });
    expect(config).toMatchObject({ nLayers: 30, nHeads: 9, nKeyValueHeads: 3, dHead: 64, norm: { eps: 1e-5 } });
    expect(weights.unembed.weight).toBe(weights.embed);
  });
});

function transpose(bytes: Uint8Array, [rows, columns]: readonly number[]): Uint8Array {
  const source = new Float32Array(bytes.slice().buffer);
  const out = new Float32Array(source.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) out[c * rows + r] = source[r * columns + c];
  return new Uint8Array(out.buffer);
}
