import { throwIfCancelled } from '../../shared/errors.ts';
import type { OnProgress } from '../../shared/progress.ts';
import type { DirectAttribution } from '../../shared/traceDocument.ts';
import type { PositionReadout, PromptActivations } from '../engine/activationCache.ts';
import { LinearMap } from '../observables/linearMap.ts';
import { type AnalysisContext, dotAt, type ObservableDirection } from './analysisContext.ts';

interface LayerAttribution {
  readonly heads: number[];
  readonly mlp: number;
  readonly outputBias: number;
}

class LayerReader {
  /** `[layer, head, source]` */
  readonly bySource: Float32Array;
  readonly attention: Float32Array;
  /** One layer's output matrix: read into the same memory for every layer. */
  private readonly outputMatrix: Float32Array;

  constructor(
    private readonly context: AnalysisContext,
    private readonly prompt: PromptActivations,
    private readonly readout: PositionReadout,
    private readonly position: number,
    /** What a summand x of the residual stream adds to the observable is u · x. */
    private readonly u: Float64Array,
  ) {
    const { nLayers, nHeads, dHead } = context.model.config;
    this.bySource = new Float32Array(nLayers * nHeads * prompt.tokens.length);
    this.attention = new Float32Array(this.bySource.length);
    this.outputMatrix = new Float32Array(nHeads * dHead * u.length);
  }

  async read(layer: number): Promise<LayerAttribution> {
    const { config } = this.context.model;
    const { out } = this.context.runner.weights.blocks[layer].attention;
    const { files } = this.context.runner;
    const map = await LinearMap.read(files, out, this.outputMatrix);
    // How much each entry of z writes along u, `[head × d_head]`.
    const along = map.back(this.u);
    const heads = Array.from({ length: config.nHeads }, (_, head) => this.readHead(layer, head, along));
    const outputBias = map.bias === null ? 0 : dotAt(map.bias, 0, this.u, this.u.length);
    return { heads, mlp: dotAt(this.readout.mlpOut[layer], 0, this.u, this.u.length), outputBias };
  }

  private readHead(layer: number, head: number, along: Float64Array): number {
    const { nHeads, nKeyValueHeads, dHead } = this.context.model.config;
    const own = along.subarray(head * dHead, (head + 1) * dHead);
    const { values, length } = this.prompt.keysValues[layer];
    const shared = Math.floor(head / (nHeads / nKeyValueHeads));
    const pattern = this.readout.pattern[layer];
    const sources = this.position + 1;
    for (let source = 0; source < sources; source += 1) {
      const weight = pattern[head * sources + source];
      const at = (layer * nHeads + head) * length + source;
      this.attention[at] = weight;
      this.bySource[at] = weight * dotAt(values, (shared * length + source) * dHead, own, dHead);
    }
    return dotAt(this.readout.z[layer], head * dHead, own, dHead);
  }
}

/**
 * Splits the observable at a position into what each head, MLP, the embeddings and the biases write, with the final
 * norm's scale frozen, and each head's part over the positions it reads, with attention frozen. No forward pass.
 * Source: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits".
 */
export async function directAttribution(
  context: AnalysisContext,
  prompt: PromptActivations,
  position: number,
  observable: ObservableDirection,
  onProgress?: OnProgress,
): Promise<DirectAttribution> {
  const { runner, signal } = context;
  const { nLayers, nHeads, dModel } = runner.config;
  const readout = prompt.readouts.get(position);
  if (readout === undefined) throw new Error(`Position ${position} was not read.`);
  const scale = runner.finalNorm.scale(prompt.final.subarray(position * dModel, (position + 1) * dModel));
  const u = runner.finalNorm.pullBack(observable.direction, scale);
  const reader = new LayerReader(context, prompt, readout, position, u);
  const layers: LayerAttribution[] = [];
  for (let layer = 0; layer < nLayers; layer += 1) {
    throwIfCancelled(signal);
    layers.push(await reader.read(layer));
    onProgress?.({ done: layer + 1, total: nLayers, label: `L${layer + 1} of ${nLayers}` });
  }
  const embedded = await runner.embed([prompt.tokens.subarray(position, position + 1)], position);
  const normBias = runner.finalNorm.bias === null ? 0 : dotAt(runner.finalNorm.bias, 0, observable.direction, dModel);
  const dims = [nLayers, nHeads, prompt.tokens.length];
  return {
    heads: layers.map((layer) => layer.heads),
    mlps: layers.map((layer) => layer.mlp),
    embedding: dotAt(embedded.tokens, 0, u, dModel),
    positionEmbedding: embedded.positions === null ? 0 : dotAt(embedded.positions, 0, u, dModel),
    bias: layers.reduce((sum, layer) => sum + layer.outputBias, normBias + observable.bias),
    bySource: { dims, data: reader.bySource },
    attention: { dims, data: reader.attention },
  };
}

/** heads + mlps + embedding + positionEmbedding + bias. */
export function sumOfParts({ heads, mlps, embedding, positionEmbedding, bias }: DirectAttribution): number {
  return [...heads.flat(), ...mlps].reduce((sum, part) => sum + part, embedding + positionEmbedding + bias);
}

/**
 * By position: what the heads fetch from each, one layer of attention back; everything that is not fetched by a head
 * is written at `position` itself and counts there. `[pos]`, sums to the observable.
 */
export function attributionsBySource(direct: DirectAttribution, position: number): number[] {
  const [layers, heads, sources] = direct.bySource.dims;
  const result = new Array<number>(sources).fill(0);
  for (let row = 0; row < layers * heads; row += 1) {
    for (let source = 0; source < sources; source += 1) result[source] += direct.bySource.data[row * sources + source];
  }
  result[position] += sumOfParts({ ...direct, heads: [] });
  return result;
}
