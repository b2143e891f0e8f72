import { describe, expect, it } from 'vitest';
import { EdgeGraph } from '../../../src/core/circuits/edgeGraph.ts';
import { edgeCircuit, pruneDeadEnds, selectEdges } from '../../../src/core/circuits/selectEdges.ts';

import { seededRandom } from '../../../src/shared/statistics.ts';
import { SHAPES } from '../../support/randomModel.ts';

const sizes = { nLayers: 2, nHeads: 4, nKeyValueHeads: 2, dMlp: 8, parallelResidual: false };
const graph = new EdgeGraph(sizes);
const edge = (from: string, to: string, channel: 'q' | 'k' | 'v' | 'mlp' | 'logits') =>
  graph.edge({ from, to, channel });
const info = {
  ...{ name: 'found', model: { ref: 'm' }, ablation: { kind: 'resample', corruption: 'other' } as const },
  provenance: { method: 'eap' },
};

/** Scores by hand. */
function scoresOf(named: readonly (readonly [string, string, 'q' | 'k' | 'v' | 'mlp' | 'logits', number])[]) {
  const scores = new Float64Array(graph.edges);
  for (const [from, to, channel, score] of named) scores[edge(from, to, channel)] = score;
  return scores;
}

const names = (keep: Uint8Array, scores: Float64Array) =>
  edgeCircuit(graph, keep, scores, info).edges?.map(({ from, to, channel }) => `${from}>${to}.${channel}`);

describe('choosing edges', () => {
  const scores = scoresOf([
    ['L1.H2', 'logits', 'logits', -3],
    ['L0.H1', 'L1.H2', 'k', 2],
    ['emb', 'L0.H1', 'v', 1],
    // Strong, but nothing reads L1.H0.
    ['emb', 'L1.H0', 'q', 9],
    // Strong, but L0.H3 reads nothing of weight.
    ['L0.H3', 'logits', 'logits', 2.5],
    ['MLP 0', 'logits', 'logits', 0.5],
    ['emb', 'MLP 0', 'mlp', 0.4],
  ]);

  it('grows from the logits and leaves out what does not reach them', () => {
    const keep = selectEdges(graph, scores, 4, 'greedy');
    expect(names(keep, scores)).toEqual(['L1.H2>logits.logits', 'L0.H1>L1.H2.k', 'emb>L0.H1.v']);
  });

  it('takes the strongest anywhere, and then dead ends out', () => {
    const keep = selectEdges(graph, scores, 5, 'score');
    expect(names(keep, scores)).toEqual(['L1.H2>logits.logits', 'L0.H1>L1.H2.k', 'emb>L0.H1.v']);
    expect(selectEdges(graph, scores, 2, 'score').every((value) => value === 0)).toBe(true);
  });

  it('keeps everything when asked for all, and refuses more', () => {
    expect(selectEdges(graph, scores, graph.edges, 'greedy').every((value) => value === 1)).toBe(true);
    expect(selectEdges(graph, scores, graph.edges, 'score').every((value) => value === 1)).toBe(true);
    expect(() => selectEdges(graph, scores, graph.edges + 1, 'score')).toThrow(/edges: ask for/);
  });

  it('prunes to a fixed point', () => {
    const keep = selectEdges(graph, scores, 6, 'greedy');
    expect(pruneDeadEnds(graph, keep)).toEqual(keep);
    expect(names(keep, scores)).toContain('MLP 0>logits.logits');
  });

  it('writes nodes by strength and key-value edges for the heads that are there', () => {
    const keep = graph.keep({
      name: 'c',
      edges: [
        { from: 'emb', to: 'L0.H0', channel: 'v' },
        { from: 'emb', to: 'L0.H1', channel: 'v' },
        { from: 'L0.H1', to: 'logits', channel: 'logits' },
      ],
    });
    // Heads 0 and 1 share their values: one edge.
    expect(keep.reduce((sum, value) => sum + value, 0)).toBe(2);
    const circuit = edgeCircuit(graph, keep, scores, info);
    expect(circuit.nodes.map(({ node }) => node)).toEqual(['L0.H1']);
    expect(circuit.edges?.map(({ to }) => to)).toEqual(['L0.H1', 'logits']);
    expect(graph.keep(circuit)).toEqual(keep);
    const full = edgeCircuit(graph, selectEdges(graph, scores, 6, 'greedy'), scores, info);
    expect(full.nodes[0]).toEqual({ node: 'L1.H2', effect: -3 });
    expect(full.edges?.[0].effect).toBe(-3);
  });

  it('chooses and prunes as EAP-IG’s own program', () => {
    // Edges that stay of 5, 20, 60 and 120, by `Graph.from_json` of our export and its apply_greedy and apply_topn (2026-08).
    const counts = {
      gpt2: { greedy: [1, 11, 41, 120], score: [0, 4, 27, 113] },
      gptNeoX: { greedy: [0, 10, 46, 107], score: [0, 3, 23, 97] },
    };
    for (const [shape, by] of Object.entries(counts)) {
      const own = new EdgeGraph(SHAPES[shape]);
      const random = seededRandom(7);
      const scores = Float64Array.from({ length: own.edges }, () => random.normal());
      for (const [select, wanted] of Object.entries(by)) {
        const found = [5, 20, 60, 120].map((n) =>
          selectEdges(own, scores, n, select as 'greedy' | 'score').reduce((sum, value) => sum + value, 0),
        );
        expect(found).toEqual(wanted);
      }
    }
  });

  it('refuses edges that the model does not have', () => {
    expect(() => edge('L1.H0', 'L0.H0', 'q')).toThrow(
      'There is no edge from L1.H0 to L0.H0: it runs before L1.H0 does.',
    );
    expect(() => edge('MLP 0', 'L0.H0', 'q')).toThrow(/no edge/);
    expect(() => edge('emb', 'MLP 0', 'q')).toThrow(/does not read by the channel "q"/);
    expect(() => edge('logits', 'MLP 0', 'mlp')).toThrow(/cannot be where an edge comes from/);
    expect(() => edge('emb', 'L2.H0', 'q')).toThrow(/layers are 0 to 1/);
    expect(() => graph.keep({ name: 'c' })).toThrow(/has no edges/);
  });
});
