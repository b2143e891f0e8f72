import type { CircuitFile, NodeName } from '../../shared/circuit.ts';
import type { TaskItem } from '../../shared/taskSet.ts';
import type { ModelRunner } from '../engine/modelRunner.ts';
import { logSumExp } from '../tasks/metrics.ts';
import { type NodeSizes, parseNodeName } from './nodeNames.ts';

/** The prompt that a graph is shown on. */
export interface GraphExample {
  readonly item: Pick<TaskItem, 'text' | 'tokens' | 'roles'>;
  /** The answer that the logits stand for. */
  readonly answer: {
    readonly id: number;
    readonly text: string;
    readonly position: number;
    readonly probability: number;
  };
}

/** The first answer of a row, with its probability. One forward pass of the row. */
export async function graphExample(
  runner: ModelRunner,
  item: TaskItem,
  textOf: (id: number) => string,
): Promise<GraphExample> {
  const [{ answer: id, position }] = item.answers;
  const { data } = await runner.logits([item.ids], { positions: [position] });
  return { item, answer: { id, text: textOf(id), position, probability: Math.exp(data[id] - logSumExp(data)) } };
}

interface GraphNode {
  readonly node_id: string;
  readonly feature: number;
  readonly layer: string;
  readonly ctx_idx: number;
  readonly feature_type: 'unknown' | 'logit';
  readonly jsNodeId: string;
  readonly clerp: string;
  readonly influence: number | null;
  readonly activation: number | null;
}

/** Where a node is drawn: the last position of the roles (or positions) at which it matters, else the answer's. */
function columnOf(at: readonly string[] | undefined, { item, answer }: GraphExample): number {
  const positions = (at ?? []).flatMap((name) => item.roles[name] ?? (/^\d+$/.test(name) ? [Number(name)] : []));
  return positions.length === 0 ? answer.position : Math.min(Math.max(...positions), item.tokens.length - 1);
}

/** Heads and MLPs are of type `unknown`: for its own types the viewer looks up dictionary features, which they are not. */
function nodesOf(
  circuit: CircuitFile,
  { nLayers, nHeads }: NodeSizes,
  example: GraphExample,
): Map<NodeName, GraphNode> {
  const nodes = new Map<NodeName, GraphNode>();
  const add = (
    name: NodeName,
    layer: string,
    feature: number,
    column: number,
    more: Pick<GraphNode, 'clerp' | 'activation'> & { readonly type?: GraphNode['feature_type'] },
  ) => {
    const { type = 'unknown', ...rest } = more;
    nodes.set(name, {
      ...{ node_id: `${layer}_${feature}_${column}`, feature, layer, ctx_idx: column, feature_type: type },
      ...{ jsNodeId: `${layer}_${feature}-${column}`, ...rest, influence: null },
    });
  };
  const { answer } = example;
  add('emb', 'E', 0, 0, { clerp: 'Embedding of every token', activation: null });
  for (const { node, role, label, at, effect } of circuit.nodes) {
    const part = parseNodeName(node);
    if (part === null || part.kind === 'emb' || part.kind === 'logits') continue;
    const feature = part.kind === 'head' ? part.head : part.kind === 'mlp' ? nHeads : part.neuron;
    const words = [node, label ?? role].filter((text) => text !== undefined).join(' · ');
    add(node, String(part.layer), feature, columnOf(at, example), { clerp: words, activation: effect ?? null });
  }
  // The viewer reads the probability out of the label.
  const clerp = `Output "${answer.text}" (p=${answer.probability.toFixed(3)})`;
  add('logits', String(nLayers), answer.id, answer.position, { clerp, activation: null, type: 'logit' });
  return nodes;
}

/** One link for each pair of nodes, whatever the channels; circuits of nodes are linked to the logits by the effects that they name. */
function linksOf(circuit: CircuitFile, nodes: ReadonlyMap<NodeName, GraphNode>) {
  const edges =
    circuit.edges ??
    circuit.nodes.flatMap(({ node, effect }) => (effect === undefined ? [] : [{ from: node, to: 'logits', effect }]));
  const weights = new Map<string, { source: string; target: string; weight: number }>();
  for (const { from, to, effect = 0 } of edges) {
    const [source, target] = [nodes.get(from)?.node_id, nodes.get(to)?.node_id];
    if (source === undefined || target === undefined || source === target) continue;
    const known = weights.get(`${source} ${target}`)?.weight ?? 0;
    weights.set(`${source} ${target}`, { source, target, weight: known + effect });
  }
  return [...weights.values()];
}

/**
 * A circuit as an attribution graph: the JSON that Neuronpedia's viewer, circuit-tracer and Anthropic's front end read. Roles
 * become supernodes. What the format has no place for is lost on the way: by which channel a head reads, and the ablation.
 */
export function circuitToAttributionGraph(
  circuit: CircuitFile,
  sizes: NodeSizes,
  example: GraphExample,
  about: { readonly model: string; readonly version: string },
): string {
  const nodes = nodesOf(circuit, sizes, example);
  const roles = [...new Set(circuit.nodes.flatMap(({ role }) => role ?? []))];
  const idsOf = (role: string) =>
    circuit.nodes.filter((node) => node.role === role).flatMap(({ node }) => nodes.get(node)?.node_id ?? []);
  const slug =
    circuit.name
      .toLowerCase()
      .replaceAll(/[^a-z0-9]+/g, '-')
      .replaceAll(/^-|-$/g, '') || 'circuit';
  const graph = {
    metadata: {
      ...{ slug, scan: about.model, schema_version: 1 },
      ...{ prompt_tokens: example.item.tokens, prompt: example.item.text },
      info: {
        description: [circuit.name, circuit.notes].filter((text) => text !== undefined).join('. '),
        generator: { name: 'Mechanist', version: about.version },
      },
      generation_settings: circuit.provenance,
    },
    qParams: {
      pinnedIds: [...nodes.values()].map(({ node_id }) => node_id),
      supernodes: roles.map((role) => [role, ...idsOf(role)]).filter((group) => group.length > 2),
      ...{ linkType: 'both', clickedId: '', sg_pos: '' },
    },
    nodes: [...nodes.values()],
    links: linksOf(circuit, nodes),
  };
  return `${JSON.stringify(graph, null, 1)}\n`;
}
