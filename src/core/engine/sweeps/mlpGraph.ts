import type { ModelConfig } from '../../models/modelConfig.ts';
import type { BlockWeights } from '../../models/modelWeights.ts';
import { GraphBuilder, type GraphBytes } from '../graphBuilder.ts';
import type { BlockHook } from '../hookPoints.ts';
import type { HookSink } from '../hookSink.ts';
import { mlp } from '../mlpFormula.ts';

const UNREAD: HookSink = { read: () => undefined, readNorm: () => undefined };

function build(
  config: ModelConfig,
  weights: BlockWeights,
  name: string,
  sinkOf: (graph: GraphBuilder) => HookSink,
): GraphBytes {
  const graph = new GraphBuilder(name);
  const input = graph.input('input', 'float32', ['rows', config.dModel]);
  const { normed, inverseScale } = graph.norm(input, weights.norm2, config.norm);
  const sink = sinkOf(graph);
  sink.readNorm('ln2', input, normed, inverseScale);
  graph.output(mlp(graph, config, weights, sink, normed), 'out', 'float32', ['rows', config.dModel]);
  return graph.finish();
}

/** The second half of a block: its `input` `[rows, d_model]` (resid_mid; resid_pre in parallel models) → `out`, mlp_out. */
export function buildMlpGraph(config: ModelConfig, weights: BlockWeights, layer: number): GraphBytes {
  return build(config, weights, `mlp ${layer}`, () => UNREAD);
}

/** Hooks between the input of an MLP and its output, in their order. */
export function mlpHooks({ mlp: { gated } }: ModelConfig): BlockHook[] {
  return ['ln2.hook_normalized', 'mlp.hook_pre', ...(gated ? (['mlp.hook_pre_linear'] as const) : []), 'mlp.hook_post'];
}

/** The same with what stands at each of `mlpHooks` as an output, `[rows, …]`: to say where a number is not finite. */
export function buildReadMlpGraph(config: ModelConfig, weights: BlockWeights, layer: number): GraphBytes {
  return build(config, weights, `read mlp ${layer}`, (graph) => {
    const read = (hook: BlockHook, tensor: string) => {
      if (mlpHooks(config).includes(hook)) graph.output(tensor, hook, 'float32', ['rows', `width of ${hook}`]);
    };
    return { read, readNorm: (_name, _x, normed) => read('ln2.hook_normalized', normed) };
  });
}
