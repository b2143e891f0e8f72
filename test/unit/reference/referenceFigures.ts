import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import { cacheFolder } from '../../../src/core/models/cacheFolder.ts';
import { openModelFiles } from '../../../src/core/models/openModelFiles.ts';

/** Figures of scripts/reference/makeReference.py; its README says what each field holds. */
export const REFERENCE = join(import.meta.dirname, '../../reference');
const MODELS = join(import.meta.dirname, '../../../models');
export const SMALL_WORLD = join(MODELS, 'small-world');
export const ACRONYMS = join(MODELS, 'acronyms');
export const PLANTED = join(MODELS, 'planted');

/** Little-endian float32 in base64, row-major. */
export interface Packed {
  readonly dims: readonly number[];
  readonly f32: string;
}

export interface RandomModelFigures {
  readonly tolerance: number;
  readonly prompts: readonly {
    readonly ids: readonly number[];
    readonly logits: Packed;
    readonly hidden: Packed;
    readonly patterns: Packed;
  }[];
}

export interface AttributionFigures {
  readonly position: number;
  readonly terms: readonly { readonly id: number; readonly weight: number }[];
  readonly direct: {
    readonly value: number;
    readonly heads: Packed;
    readonly mlps: Packed;
    readonly embedding: number;
    readonly positionEmbedding: number;
    readonly bias: number;
    readonly bySource: Packed;
    readonly attributions: Packed;
  };
  readonly lens: {
    readonly positions: readonly number[];
    readonly values: readonly (readonly number[])[];
    readonly top: readonly (readonly { readonly id: number; readonly p: number }[])[];
  };
  readonly occlusion?: readonly number[];
}

export interface PromptFigures {
  readonly text: string;
  readonly ids: readonly number[];
  readonly sample: Packed;
  readonly top: { readonly ids: readonly number[]; readonly logits: Packed };
  readonly logits?: Packed;
  readonly hidden: readonly {
    readonly layer: number;
    readonly position: number;
    readonly step: number;
    readonly values: Packed;
  }[];
  readonly patterns?: readonly { readonly layer: number; readonly head: number; readonly rows: Packed }[];
  readonly observable?: { readonly spec: Readonly<Record<string, number>>; readonly value: number };
  readonly attribution?: AttributionFigures;
}

export interface ModelFigures {
  readonly modelHash: string;
  readonly tolerance: number;
  readonly sampleIds: readonly number[];
  readonly prompts: readonly PromptFigures[];
}

export function readFigures<T>(...path: string[]): T {
  return JSON.parse(readFileSync(join(REFERENCE, ...path), 'utf8')) as T;
}

export function randomModelNames(): string[] {
  return readdirSync(join(REFERENCE, 'models')).sort();
}

export function unpack({ dims, f32 }: Packed): Float32Array {
  const bytes = Buffer.from(f32, 'base64');
  const values = Float32Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i));
  if (values.length !== dims.reduce((product, dim) => product * dim, 1)) throw new Error('The dims do not fit.');
  return values;
}

/** Largest absolute difference. NaN, or unlike lengths, give NaN, which no tolerance holds. */
export function maxDelta(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.NaN;
  let max = 0;
  for (let i = 0; i < expected.length; i += 1) {
    const delta = Math.abs(actual[i] - expected[i]);
    if (!(delta <= max)) max = delta;
    if (Number.isNaN(max)) return max;
  }
  return max;
}

/** Largest absolute value; 1 at least, so that dividing by it never enlarges a difference. */
export function scaleOf(values: ArrayLike<number>): number {
  return Array.from(values).reduce((max, value) => Math.max(max, Math.abs(value)), 1);
}

/** Opens a model as the engine process does. One thread, unless a test is long. */
export async function load(path: string, cacheDir: string, threads = 1): Promise<AnalysisEngine> {
  const model = await openModelFiles(path, { ref: path, cacheDir, availableBytes: Number.MAX_SAFE_INTEGER });
  return await AnalysisEngine.open(model, { threads, cacheBytes: 64 << 20, version: 'test' });
}

export function mechanistCache(): string {
  return cacheFolder(process.env, process.platform, homedir());
}

/** The default model where it has been pulled; null, with the reason printed, where it has not. */
export function smollm2File(): string | null {
  const path = join(mechanistCache(), 'models', 'smollm2-135m', 'SmolLM2-135M-Instruct.Q4_1.gguf');
  if (existsSync(path)) return path;
  console.warn(`skipped: model not available (${path}); mechanist models pull smollm2-135m`);
  return null;
}
