import type { Architecture, BiasRule } from './architecture.ts';
import { corrupt } from './fileErrors.ts';
import type { BlockWeights, LinearWeights, ModelWeights, NormWeights, QueryKeyValueWeights } from './modelWeights.ts';
import type { StoredTensor } from './storedTensor.ts';
import type { BlockNames, WeightNames } from './weightNames.ts';

/** Tensors found by role. Each is checked to have the shape that the config asks for. */
export interface MappedWeights {
  readonly weights: ModelWeights;
  /** The tensors that the model uses, once each; a checkpoint may hold others (attention masks, inverse frequencies). */
  readonly used: readonly StoredTensor[];
}

/**
 * Finds every weight of the architecture among the tensors of a checkpoint. Locations point at the tensors as they are
 * stored; they are float32 only when the checkpoint is.
 *
 * @param file named in errors
 * @throws model-corrupt for a missing tensor or a wrong shape
 */
export function mapWeights(
  file: string,
  architecture: Architecture,
  names: WeightNames,
  tensors: ReadonlyMap<string, StoredTensor>,
): MappedWeights {
  const finder = new TensorFinder(file, names, tensors);
  const { dVocab, dModel, nCtx, nLayers } = architecture.config;
  const embed = finder.tensor(names.embed, 'weight', [dVocab, dModel]);
  const weights: ModelWeights = {
    embed,
    positionEmbed: names.positionEmbed ? finder.tensor(names.positionEmbed, 'weight', [nCtx, dModel]) : null,
    blocks: Array.from({ length: nLayers }, (_, layer) => mapBlock(architecture, names.block(layer), finder)),
    finalNorm: mapNorm(architecture, names.finalNorm, finder),
    unembed: mapUnembed(architecture, names, finder, embed),
  };
  return { weights, used: [...finder.used] };
}

function mapUnembed(
  architecture: Architecture,
  names: WeightNames,
  finder: TensorFinder,
  embed: StoredTensor,
): LinearWeights {
  const { dVocab, dModel } = architecture.config;
  const stored = names.unembed.find((name) => finder.has(name, 'weight'));
  if (architecture.tied === 'yes' || (architecture.tied === 'if-absent' && !stored)) {
    return { weight: embed, layout: 'out_in', bias: null };
  }
  const name = stored ?? names.unembed[0];
  const weight = finder.tensor(name, 'weight', [dVocab, dModel]);
  const bias = finder.has(name, 'bias') ? finder.tensor(name, 'bias', [dVocab]) : null;
  return { weight, layout: 'out_in', bias };
}

function mapNorm({ config }: Architecture, name: string, finder: TensorFinder): NormWeights {
  return {
    gain: finder.tensor(name, 'weight', [config.dModel]),
    bias: config.norm.kind === 'layernorm' ? finder.tensor(name, 'bias', [config.dModel]) : null,
  };
}

function mapBlock(architecture: Architecture, names: BlockNames, finder: TensorFinder): BlockWeights {
  const { dModel, dMlp, nHeads, dHead } = architecture.config;
  const { mlp } = architecture.bias;
  return {
    norm1: mapNorm(architecture, names.norm1, finder),
    attention: {
      qkv: mapQueryKeyValue(architecture, names.qkv, finder),
      out: finder.linear(names.out, nHeads * dHead, dModel, architecture.bias.out),
    },
    norm2: mapNorm(architecture, names.norm2, finder),
    mlp: {
      in: finder.linear(names.mlp.in, dModel, dMlp, mlp),
      gate: names.mlp.gate ? finder.linear(names.mlp.gate, dModel, dMlp, mlp) : null,
      out: finder.linear(names.mlp.out, dMlp, dModel, mlp),
    },
  };
}

function mapQueryKeyValue(
  { config, bias }: Architecture,
  names: BlockNames['qkv'],
  finder: TensorFinder,
): QueryKeyValueWeights {
  const queries = config.nHeads * config.dHead;
  const keys = config.nKeyValueHeads * config.dHead;
  if (names.kind !== 'separate') {
    return { kind: names.kind, qkv: finder.linear(names.name, config.dModel, queries + 2 * keys, bias.qkv) };
  }
  return {
    kind: 'separate',
    q: finder.linear(names.q, config.dModel, queries, bias.qkv),
    k: finder.linear(names.k, config.dModel, keys, bias.qkv),
    v: finder.linear(names.v, config.dModel, keys, bias.qkv),
  };
}

class TensorFinder {
  readonly used = new Set<StoredTensor>();

  constructor(
    private readonly file: string,
    private readonly names: WeightNames,
    private readonly tensors: ReadonlyMap<string, StoredTensor>,
  ) {}

  has(name: string, kind: 'weight' | 'bias'): boolean {
    return this.find(name, kind) !== undefined;
  }

  private find(name: string, kind: 'weight' | 'bias'): StoredTensor | undefined {
    for (const prefix of this.names.prefixes) {
      const tensor = this.tensors.get(`${prefix}${name}.${kind}`);
      if (tensor) return tensor;
    }
    return undefined;
  }

  tensor(name: string, kind: 'weight' | 'bias', shape: readonly number[]): StoredTensor {
    const tensor = this.find(name, kind);
    if (!tensor) throw corrupt(this.file, `the tensor "${name}.${kind}" is missing`, { tensor: `${name}.${kind}` });
    if (tensor.shape.length !== shape.length || tensor.shape.some((size, axis) => size !== shape[axis])) {
      throw corrupt(this.file, `tensor "${tensor.name}" is [${tensor.shape}], the config asks for [${shape}]`, {
        tensor: tensor.name,
      });
    }
    this.used.add(tensor);
    return tensor;
  }

  linear(name: string, inputs: number, outputs: number, rule: BiasRule): LinearWeights {
    const { layout } = this.names;
    const weight = this.tensor(name, 'weight', layout === 'in_out' ? [inputs, outputs] : [outputs, inputs]);
    const wanted = rule === 'required' || (rule === 'if-stored' && this.has(name, 'bias'));
    return { weight, layout, bias: wanted ? this.tensor(name, 'bias', [outputs]) : null };
  }
}
