import type { CircuitFile, CircuitNode } from '../../src/shared/circuit.ts';
import type { CircuitPanelState, CircuitSetting } from '../../src/shared/circuitPanelProtocol.ts';
import { seededRandom } from '../../src/shared/statistics.ts';
import { makeBars, makeCircuit, makeEvaluation } from './figuresFixture.ts';

const tokens = ['<|endoftext|>', 'The', ' C', 'hief', ' E', 'xecutive', ' O', 'fficer', ' (', 'C', 'E'];
const roles = ['BOS', 'The', 'C1', 'T1', 'C2', 'T2', 'C3', 'T3', '(', 'A1', 'A2'];

export const acronymSetting: CircuitSetting = {
  modelLabel: 'gpt2-small',
  modelHash: 'b2a90de'.padEnd(64, '0'),
  nLayers: 12,
  nHeads: 12,
  parallelResidual: false,
  columns: tokens.map((token, position) => ({ position, token, role: roles[position] })),
  roles,
  corruptions: ['permuted'],
  metrics: ['max', 'mean', 'log-prob'],
  answers: [
    { name: 'letter 1', position: 8 },
    { name: 'letter 2', position: 9 },
    { name: 'letter 3', position: 10 },
  ],
  rows: 500,
  refused: 3,
};

/** The panel with every number there. */
export function circuitState(change: Partial<CircuitPanelState> = {}): CircuitPanelState {
  const circuit = change.circuit ?? makeCircuit();
  return {
    title: 'acronyms.circuit.json',
    circuit,
    faults: [],
    foreign: false,
    setting: acronymSetting,
    metric: null,
    evaluation: makeEvaluation(circuit),
    freshness: 'fresh',
    progress: null,
    reads: [
      { node: 'L8.H11', from: 6, attention: 0.41 },
      { node: 'L9.H9', from: 6, attention: 0.3 },
      { node: 'L10.H10', from: 6, attention: 0.29 },
      { node: 'L11.H4', from: 6, attention: 0.12 },
      { node: 'L5.H8', from: 5, attention: 0.53 },
      { node: 'L4.H11', from: 4, attention: 1 },
      { node: 'L2.H2', from: 4, attention: 0.81 },
      { node: 'L1.H0', from: 4, attention: 0.75 },
    ],
    gains: [
      { node: 'L7.H10', gain: -0.25 },
      { node: 'L11.H10', gain: 0.24 },
      { node: 'L10.H7', gain: 0.2 },
      { node: 'L8.H3', gain: -0.14 },
    ],
    detail: { node: 'L8.H11', pictures: [{ ...makeBars(), groups: makeBars().groups.slice(0, 1) }], error: null },
    otherModel: null,
    error: null,
    ...change,
  };
}

/** A circuit with edges of both signs, as a discovery method leaves one. `n` nodes over the model's layers. */
export function edgeCircuit(n = 12, seed = 3): CircuitFile {
  const random = seededRandom(seed);
  const layer = (name: string) => Number(/^L(\d+)/.exec(name)?.[1]);
  const names = new Set<string>();
  while (names.size < n) names.add(`L${random.below(12)}.H${random.below(12)}`);
  const nodes = [...names].map(
    (node, i): CircuitNode => ({
      node,
      role: ['reader', 'mover', 'suppressor', 'previous token', 'other'][i % 5],
      at: [roles[2 + ((i * 3) % 9)]],
    }),
  );
  const edges = nodes.flatMap(({ node: to }) => [
    ...nodes
      .filter(({ node }) => layer(node) < layer(to) && random.below(3) === 0)
      .map(({ node: from }) => ({
        from,
        to,
        channel: (['q', 'k', 'v'] as const)[random.below(3)],
        effect: 0.4 * random.normal(),
      })),
    { from: 'emb', to, channel: 'v' as const, effect: 0.3 * random.normal() },
    { from: to, to: 'logits', channel: 'logits' as const, effect: random.normal() },
  ]);
  return makeCircuit({ name: 'found', nodes, edges, scope: 'heads', provenance: { method: 'eap-ig' } });
}
