import type { ModelConfig } from '../../models/modelConfig.ts';
import type { BlockWeights } from '../../models/modelWeights.ts';
import { GraphBuilder, type GraphBytes } from '../graphBuilder.ts';
import { outputByHead } from '../headResultGraph.ts';
import type { ModelRunner, RunContext } from '../modelRunner.ts';
import { finiteNumbers } from '../nonFinite.ts';
import { floatTensor, integerTensor, type SessionKind } from '../sessionPool.ts';
import { headMaps } from './edgeGraphs.ts';

/**
 * One head's value and output maps: `x` (resid_pre) `[rows, d_model]` and the head and its key-value head, int64 `[1]` → `out`
 * `[1, rows, d_model]`, what the head writes where it attends to that row alone: the norm, W_V and b_V, W_O; without b_O.
 */
function buildHeadOutputGraph(config: ModelConfig, weights: BlockWeights, layer: number): GraphBytes {
  const { dModel } = config;
  const graph = new GraphBuilder(`head outputs ${layer}`);
  const x = graph.input('x', 'float32', ['rows', dModel]);
  const head = graph.input('head', 'int64', [1]);
  const keyHead = graph.input('keyHead', 'int64', [1]);
  const { normed } = graph.norm(x, weights.norm1, config.norm);
  const values = headMaps(graph, config, weights)[2];
  const pick = (tensor: string, index: string) => graph.op('Gather', [tensor, index], { axis: 0 });
  const product = graph.op('MatMul', [normed, pick(values.weight, keyHead)]);
  const z = values.bias === null ? product : graph.op('Add', [product, pick(values.bias, keyHead)]);
  const out = outputByHead(graph, config, weights.attention.out);
  graph.output(graph.op('MatMul', [z, pick(out, head)]), 'out', 'float32', [1, 'rows', dModel]);
  return graph.finish();
}

/** What single heads write for rows of the residual stream, attention held at 1. Weights stay in the file's pages. */
export class HeadOutputs {
  private readonly kind: SessionKind;

  constructor(private readonly runner: ModelRunner) {
    const { config, weights } = runner;
    this.kind = {
      name: 'head outputs',
      packed: false,
      build: (layer) => buildHeadOutputGraph(config, weights.blocks[layer], layer),
    };
  }

  /**
   * `[rows, d_model]` for rows of resid_pre. 2 d_model d_head multiply-adds a row.
   * @throws MechanistError `model-corrupt`, `cancelled`
   */
  async of(layer: number, head: number, x: Float32Array, { signal }: RunContext): Promise<Float32Array> {
    const { dModel, nHeads, nKeyValueHeads } = this.runner.config;
    const keyHead = Math.floor(head / (nHeads / nKeyValueHeads));
    const feeds = {
      x: floatTensor(x, [x.length / dModel, dModel]),
      ...{ head: integerTensor([head]), keyHead: integerTensor([keyHead]) },
    };
    const { out } = await this.runner.pool.run(this.kind, layer, feeds, ['out'], { signal });
    return finiteNumbers(out, `blocks.${layer}.attn.hook_z`);
  }

  /** Frees the graphs; they can be used again. */
  async release(): Promise<void> {
    await this.runner.pool.release(this.kind);
  }
}
