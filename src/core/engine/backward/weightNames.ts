import { MechanistError } from '../../../shared/errors.ts';
import type {
  BlockWeights,
  LinearWeights,
  ModelWeights,
  NormWeights,
  TensorLocation,
} from '../../models/modelWeights.ts';

type Named = readonly (readonly [string, TensorLocation | null])[];

const norm = (name: string, { gain, bias }: NormWeights): Named => [
  [`${name}.gain`, gain],
  [`${name}.bias`, bias],
];

const linear = (name: string, { weight, bias }: LinearWeights): Named => [
  [`${name}.weight`, weight],
  [`${name}.bias`, bias],
];

function existing(named: Named): Map<string, TensorLocation> {
  return new Map(named.flatMap(([name, location]) => (location === null ? [] : [[name, location] as const])));
}

/**
 * The weights of a block by the names of `BlockWeights`, as stored: `norm1.gain`, `attention.qkv.weight` (or `.q.`, `.k.`,
 * `.v.`), `attention.out.bias`, `mlp.in.weight`, `mlp.gate.weight`, …
 */
export function blockWeightNames({ norm1, attention, norm2, mlp }: BlockWeights): Map<string, TensorLocation> {
  const { qkv, out } = attention;
  return existing([
    ...norm('norm1', norm1),
    ...(qkv.kind === 'separate'
      ? (['q', 'k', 'v'] as const).flatMap((part) => linear(`attention.${part}`, qkv[part]))
      : linear('attention.qkv', qkv.qkv)),
    ...linear('attention.out', out),
    ...norm('norm2', norm2),
    ...linear('mlp.in', mlp.in),
    ...(mlp.gate === null ? [] : linear('mlp.gate', mlp.gate)),
    ...linear('mlp.out', mlp.out),
  ]);
}

/** The weights outside the blocks: `embed`, `positionEmbed`, `finalNorm.gain`, `finalNorm.bias`, `unembed.weight`, `unembed.bias`. */
export function globalWeightNames(weights: ModelWeights): Map<string, TensorLocation> {
  return existing([
    ['embed', weights.embed],
    ['positionEmbed', weights.positionEmbed],
    ...norm('finalNorm', weights.finalNorm),
    ...linear('unembed', weights.unembed),
  ]);
}

/** Weights that were asked for, sorted by where they lie. */
export interface WantedWeights {
  /** Layer → name within the block → tensor. */
  readonly blocks: ReadonlyMap<number, ReadonlyMap<string, TensorLocation>>;
  readonly globals: ReadonlyMap<string, TensorLocation>;
}

const BLOCK = /^blocks\.(\d+)\.(.+)$/;

/**
 * Reads names of weights: those of `globalWeightNames`, or `blocks.3.` and one of `blockWeightNames`.
 * @throws MechanistError `bad-input` with the names there are
 */
export function parseWeightNames(names: readonly string[], weights: ModelWeights): WantedWeights {
  const blocks = new Map<number, Map<string, TensorLocation>>();
  const globals = new Map<string, TensorLocation>();
  const all = globalWeightNames(weights);
  for (const name of names) {
    const match = BLOCK.exec(name);
    const layer = Number(match?.[1]);
    const own = match === null ? all : weights.blocks[layer] && blockWeightNames(weights.blocks[layer]);
    const location = own?.get(match?.[2] ?? name);
    if (location === undefined) {
      const known = [...all.keys(), ...[...blockWeightNames(weights.blocks[0]).keys()].map((key) => `blocks.N.${key}`)];
      const range = `N from 0 to ${weights.blocks.length - 1}`;
      throw new MechanistError('bad-input', `There is no weight "${name}". There are ${known.join(', ')}; ${range}.`, {
        name,
      });
    }
    if (match === null) globals.set(name, location);
    else blocks.set(layer, (blocks.get(layer) ?? new Map<string, TensorLocation>()).set(match[2], location));
  }
  return { blocks, globals };
}
