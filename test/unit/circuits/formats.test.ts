import { Ajv } from 'ajv';
import { afterAll, describe, expect, it } from 'vitest';
import { circuitToAttributionGraph, graphExample } from '../../../src/core/circuits/attributionGraph.ts';
import { circuitToEapIg, readEapIg } from '../../../src/core/circuits/eapIgJson.ts';
import { EdgeGraph } from '../../../src/core/circuits/edgeGraph.ts';
import { ModelRunner } from '../../../src/core/engine/modelRunner.ts';
import type { CircuitFile } from '../../../src/shared/circuit.ts';
import { readReference } from '../../support/gradients.ts';
import { randomModel, SHAPES } from '../../support/randomModel.ts';
import { randomTask } from '../../support/randomTask.ts';

const config = SHAPES.llama;
const circuit: CircuitFile = {
  ...{
    schemaVersion: 1,
    kind: 'circuit',
    name: 'Letter movers, by hand!',
    model: { ref: 'm', hash: 'a' },
    scope: 'edges',
  },
  nodes: [
    { node: 'L0.H1', role: 'early', effect: 0.5 },
    { node: 'L1.H2', role: 'mover', label: 'mine', at: ['end'], effect: -2 },
    { node: 'L2.H3', role: 'mover' },
    { node: 'MLP 1', effect: 0.25 },
  ],
  edges: [
    { from: 'emb', to: 'L0.H1', channel: 'v', effect: 1 },
    { from: 'emb', to: 'L0.H1', channel: 'q', effect: 0.5 },
    { from: 'L0.H1', to: 'L1.H2', channel: 'k', effect: -0.25 },
    { from: 'L1.H2', to: 'MLP 1', channel: 'mlp' },
    { from: 'MLP 1', to: 'logits', channel: 'logits', effect: 3 },
  ],
  ablation: { kind: 'resample', corruption: 'other' },
  provenance: { method: 'by hand' },
};
const about = { name: circuit.name, model: circuit.model };

describe('EAP-IG JSON', () => {
  const text = circuitToEapIg(circuit, config);
  const json = JSON.parse(text);

  it('has every node and edge that Graph.from_model makes, under its names', () => {
    expect(json.cfg).toEqual({ n_layers: 3, n_heads: 4, parallel_attn_mlp: false, d_model: 24 });
    expect(Object.keys(json.nodes)).toHaveLength(1 + 3 * 5 + 1);
    expect(json.nodes['a1.h2']).toEqual({ in_graph: true, score: -2 });
    expect(json.nodes.m0).toEqual({ in_graph: false });
    // Readers of layer l: 12 of heads and one MLP; each reads 1 + 5 l writers, the MLP 4 more.
    const count = [0, 1, 2].reduce((sum, layer) => sum + 13 * (1 + 5 * layer) + 4, 0) + 16;
    expect(Object.keys(json.edges)).toHaveLength(count);
    expect(json.edges['a0.h1->a1.h2<k>']).toEqual({ score: -0.25, in_graph: true });
    expect(json.edges['a0.h1->a1.h3<k>']).toEqual({ score: 0, in_graph: false });
    expect(json.edges['input->m0']).toEqual({ score: 0, in_graph: false });
    expect(json.edges['m1->logits']).toEqual({ score: 3, in_graph: true });
  });

  it('comes back with the same nodes, edges and scores', () => {
    const { circuit: read, problems } = readEapIg(text, config, about);
    expect(problems).toEqual([]);
    const graph = new EdgeGraph(config);
    if (read === null) throw new Error('not read');
    expect(graph.keep(read)).toEqual(graph.keep(circuit));
    expect(new Set(read.nodes.map(({ node }) => node))).toEqual(new Set(circuit.nodes.map(({ node }) => node)));
    expect(read.edges?.find(({ to }) => to === 'logits')?.effect).toBe(3);
    expect(circuitToEapIg(read, config)).toContain('"a1.h2":{"in_graph":true,"score":-2}');
  });

  it('of a circuit of heads has all edges between them, and the MLPs that always stay', () => {
    const heads: CircuitFile = { ...circuit, scope: 'heads', nodes: [{ node: 'L0.H1' }], edges: undefined };
    const own = JSON.parse(circuitToEapIg(heads, config));
    expect(own.nodes.m2.in_graph).toBe(true);
    expect(own.edges['a0.h1->m2'].in_graph).toBe(true);
    expect(own.edges['a0.h2->m2'].in_graph).toBe(false);
  });

  it.each([
    ['{', 'not-json'],
    ['[]', 'missing-key'],
    ['{"cfg": {"n_layers": 12}, "nodes": {}, "edges": {}}', 'other-model'],
    ['{"cfg": {}, "nodes": {"z1": {"in_graph": true}}, "edges": {}}', 'unknown-node'],
    ['{"cfg": {}, "nodes": {}, "edges": {"m1->a0.h0<q>": {"in_graph": true}}}', 'unknown-node'],
    ['{"cfg": {}, "nodes": {}, "edges": {"a0.h0->a1.h9<q>": {"in_graph": true}}}', 'unknown-node'],
    ['{"cfg": {}, "nodes": {}, "edges": {"a0.h0": {"in_graph": true}}}', 'unknown-node'],
  ])('is refused at the word: %s', (source, code) => {
    const { circuit: read, problems } = readEapIg(source, config, about);
    expect(read).toBeNull();
    expect(problems.map((problem) => problem.code)).toContain(code);
  });
});

describe('attribution graphs', () => {
  const { model, remove } = randomModel(config, 2);
  afterAll(remove);
  const validate = new Ajv({ strict: false }).compile(readReference<object>('neuronpedia-graph-schema.json'));

  async function graphOf(of: CircuitFile) {
    const runner = await ModelRunner.open(model, { threads: 1 });
    const [item] = randomTask(config, [8]).items;
    const example = await graphExample(runner, item, (id) => ` t${id}`);
    await runner.close();
    return JSON.parse(circuitToAttributionGraph(of, config, example, { model: 'gpt2', version: '1.2.3' }));
  }

  it('satisfy the public schema of Neuronpedia, and what its viewer takes for granted', async () => {
    const graph = await graphOf(circuit);
    expect(validate(graph), JSON.stringify(validate.errors)).toBe(true);
    expect(validate({ ...graph, metadata: { slug: 'x' } })).toBe(false);
    const ids = graph.nodes.map(({ node_id }: { node_id: string }) => node_id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { source, target } of graph.links) {
      expect(ids).toContain(source);
      expect(ids).toContain(target);
    }
    for (const { ctx_idx } of graph.nodes) expect(graph.metadata.prompt_tokens[ctx_idx]).toBeDefined();
    // formatCLTGraphData of the viewer: the largest layer must not be 0, and a logit's label must hold its probability.
    const logit = graph.nodes.at(-1);
    expect(logit).toMatchObject({ feature_type: 'logit', layer: '3', ctx_idx: 6 });
    expect(Number(logit.clerp.split('(p=')[1].split(')')[0])).toBeGreaterThanOrEqual(0);
    expect(graph.metadata).toMatchObject({ slug: 'letter-movers-by-hand', scan: 'gpt2' });
  });

  it('join the channels of a pair, group by role, and place nodes where they matter', async () => {
    const graph = await graphOf(circuit);
    const of = (clerp: string) => graph.nodes.find((node: { clerp: string }) => node.clerp.startsWith(clerp));
    expect(of('L1.H2')).toMatchObject({ node_id: '1_2_7', clerp: 'L1.H2 · mine', activation: -2, ctx_idx: 7 });
    expect(of('MLP 1')).toMatchObject({ node_id: '1_4_6', feature: 4 });
    const [first] = graph.links;
    expect(first).toEqual({ source: 'E_0_0', target: of('L0.H1').node_id, weight: 1.5 });
    expect(graph.links).toHaveLength(4);
    expect(graph.qParams.supernodes).toEqual([['mover', of('L1.H2').node_id, of('L2.H3').node_id]]);
  });

  it('link the nodes of a circuit without edges to the logits, where their effects are known', async () => {
    const graph = await graphOf({ ...circuit, scope: 'heads', edges: undefined });
    expect(validate(graph)).toBe(true);
    expect(graph.links.map(({ weight }: { weight: number }) => weight)).toEqual([0.5, -2, 0.25]);
  });
});
