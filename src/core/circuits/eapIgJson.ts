import type { Channel, CircuitEdge, CircuitFile, CircuitNode } from '../../shared/circuit.ts';
import { MechanistError } from '../../shared/errors.ts';
import type { ModelConfig } from '../models/modelConfig.ts';
import { firstJsonError, type JsonPath, locateAllJson } from '../tasks/datasetJson.ts';
import type { CircuitProblem, ReadCircuit } from './circuitFile.ts';
import { EdgeGraph } from './edgeGraph.ts';
import { type NodePart, nodeName, parseNodeName } from './nodeNames.ts';

type Sizes = ConstructorParameters<typeof EdgeGraph>[0] & Pick<ModelConfig, 'dModel'>;

/** A node as EAP-IG names it: `input`, `a9.h6`, `m3`, `logits`. */
function eapIgName(part: NodePart): string {
  switch (part.kind) {
    case 'emb':
      return 'input';
    case 'logits':
      return 'logits';
    case 'head':
      return `a${part.layer}.h${part.head}`;
    case 'mlp':
      return `m${part.layer}`;
    case 'neuron':
      throw new MechanistError(
        'bad-input',
        `Graphs of EAP-IG have heads and MLPs only, and this circuit has ${nodeName(part)}. Put MLP ${part.layer} in its place to export it.`,
        { node: nodeName(part) },
      );
  }
}

/** `a0.h1->m3`, `input->a1.h0<q>` */
function edgeName({ from, to, channel }: Pick<CircuitEdge, 'from' | 'to' | 'channel'>): string {
  const name = (node: string) => eapIgName(parseNodeName(node) ?? { kind: 'emb' });
  return `${name(from)}->${name(to)}${'qkv'.includes(channel) ? `<${channel}>` : ''}`;
}

/**
 * A circuit as `Graph.from_json` of EAP-IG (Hanna et al.) reads it: all nodes and edges of the model with a score (the effect; 0
 * where there is none) and whether they are in the circuit. A circuit of nodes has all edges between its nodes; MLPs are in it
 * where the scope leaves them alone. Key-value heads appear once for each query head, as in TransformerLens.
 * @throws MechanistError `bad-input` for a circuit with neurons
 */
export function circuitToEapIg(circuit: CircuitFile, sizes: Sizes): string {
  const graph = new EdgeGraph(sizes);
  const { nLayers, nHeads, dModel, parallelResidual } = sizes;
  const effects = new Map(circuit.nodes.map(({ node, effect = 0 }) => [node, effect]));
  for (const name of effects.keys()) eapIgName(parseNodeName(name) ?? { kind: 'emb' });
  const inGraph = (part: NodePart) =>
    part.kind === 'emb' ||
    part.kind === 'logits' ||
    effects.has(nodeName(part)) ||
    (part.kind === 'mlp' && circuit.scope === 'heads');
  const nodes: Record<string, object> = {};
  const writers = Array.from({ length: graph.writers }, (_, i) => i);
  for (const part of [...writers.map((writer) => graph.writerPart(writer)), { kind: 'logits' } as const]) {
    const effect = effects.get(nodeName(part));
    nodes[eapIgName(part)] = { in_graph: inGraph(part), ...(effect === undefined ? {} : { score: effect }) };
  }
  const given = new Map(circuit.edges?.map((edge) => [edgeName(edge), edge.effect ?? 0]));
  const edges: Record<string, object> = {};
  const all = new Set(writers);
  graph.each((_, reader, writer) => {
    for (const named of graph.describe(reader, writer, all)) {
      const name = edgeName(named);
      const ends = [named.from, named.to].every((node) => inGraph(parseNodeName(node) ?? { kind: 'emb' }));
      const inside = circuit.edges === undefined ? ends : given.has(name);
      edges[name] = { score: given.get(name) ?? 0, in_graph: inside };
    }
  });
  const cfg = { n_layers: nLayers, n_heads: nHeads, parallel_attn_mlp: parallelResidual, d_model: dModel };
  return `${JSON.stringify({ cfg, nodes, edges })}\n`;
}

const EDGE = /^(.+?)->(.+?)(?:<([qkv])>)?$/;
const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isIn = (value: unknown): boolean => value === true || (isRecord(value) && value.in_graph === true);
const scoreOf = (value: unknown): number | undefined =>
  isRecord(value) && typeof value.score === 'number' && Number.isFinite(value.score) ? value.score : undefined;

interface Found {
  readonly path: JsonPath;
  readonly code: CircuitProblem['code'];
  readonly message: string;
}

/** Reads what the file says of this model; whatever does not fit is put into `found`. */
class EapIgReader {
  readonly found: Found[] = [];
  private readonly graph: EdgeGraph;

  constructor(
    private readonly file: unknown,
    private readonly sizes: Sizes,
  ) {
    this.graph = new EdgeGraph(sizes);
  }

  private add(path: JsonPath, code: Found['code'], message: string): void {
    this.found.push({ path, code, message });
  }

  private part(key: 'cfg' | 'nodes' | 'edges'): Readonly<Record<string, unknown>> {
    const value = isRecord(this.file) ? this.file[key] : undefined;
    if (isRecord(value)) return value;
    this.add([], 'missing-key', `"${key}" is missing: this is no graph of EAP-IG.`);
    return {};
  }

  private config(): void {
    const cfg = this.part('cfg');
    const { nLayers, nHeads } = this.sizes;
    const own: Readonly<Record<string, number>> = { n_layers: nLayers, n_heads: nHeads };
    for (const [key, value] of Object.entries(own)) {
      if (cfg[key] === undefined || cfg[key] === value) continue;
      this.add(
        ['cfg', key],
        'other-model',
        `The graph is of a model with ${key} = ${cfg[key]}; this one has ${value}.`,
      );
    }
  }

  nodes(): CircuitNode[] {
    return Object.entries(this.part('nodes')).flatMap(([name, value]) => {
      const part = parseNodeName(name);
      if (part === null)
        this.add(['nodes', name], 'unknown-node', `"${name}" is no node of EAP-IG: a0.h1, m3, input, logits.`);
      if (part === null || part.kind === 'emb' || part.kind === 'logits' || !isIn(value)) return [];
      const effect = scoreOf(value);
      return [{ node: nodeName(part), ...(effect === undefined ? {} : { effect }) }];
    });
  }

  edges(): CircuitEdge[] {
    return Object.entries(this.part('edges')).flatMap(([name, value]) => {
      const [, from = '', to = '', letter] = EDGE.exec(name) ?? [];
      const [writer, reader] = [parseNodeName(from), parseNodeName(to)];
      if (!isIn(value)) return [];
      if (writer === null || reader === null) {
        this.add(['edges', name], 'unknown-node', `"${name}" is no edge of EAP-IG: a0.h1->m3, input->a1.h0<q>.`);
        return [];
      }
      const channel = (letter ?? (reader.kind === 'logits' ? 'logits' : 'mlp')) as Channel;
      const effect = scoreOf(value);
      const edge = {
        from: nodeName(writer),
        to: nodeName(reader),
        channel,
        ...(effect === undefined ? {} : { effect }),
      };
      try {
        this.graph.edge(edge);
        return [edge];
      } catch (error) {
        this.add(['edges', name], 'unknown-node', error instanceof Error ? error.message : String(error));
        return [];
      }
    });
  }

  read(): { nodes: CircuitNode[]; edges: CircuitEdge[] } {
    this.config();
    return { nodes: this.nodes(), edges: this.edges() };
  }
}

/**
 * Reads a graph of EAP-IG (`Graph.to_json`) as a circuit. Scores become effects: their sign is that of EAP-IG's metric, which is
 * a loss in its examples, as is usual. Never throws.
 */
export function readEapIg(
  text: string,
  sizes: Sizes,
  about: { readonly name: string; readonly model: CircuitFile['model'] },
): ReadCircuit {
  const error = firstJsonError(text);
  if (error !== null) {
    const message = 'This is not JSON.';
    return {
      circuit: null,
      problems: [{ start: error, end: error + 1, severity: 'error', code: 'not-json', message }],
    };
  }
  const reader = new EapIgReader(JSON.parse(text), sizes);
  const { nodes, edges } = reader.read();
  const ranges = locateAllJson(
    text,
    reader.found.map(({ path }) => path),
  );
  const problems = reader.found.map(({ code, message }, i): CircuitProblem => {
    const { start, end } = ranges[i] ?? { start: 0, end: Math.min(1, text.length) };
    return { start, end, severity: 'error', code, message };
  });
  if (problems.length > 0) return { circuit: null, problems };
  const circuit: CircuitFile = {
    ...{ schemaVersion: 1, kind: 'circuit', ...about, scope: edges.length > 0 ? 'edges' : 'heads+mlps', nodes },
    ...(edges.length > 0 ? { edges } : {}),
    ablation: { kind: 'mean' },
    provenance: { method: 'read from EAP-IG JSON' },
  };
  return { circuit, problems };
}
