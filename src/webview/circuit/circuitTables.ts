import type { CircuitFile } from '../../shared/circuit.ts';
import type { CircuitPanelState } from '../../shared/circuitPanelProtocol.ts';
import type { TableModel } from '../figures/DataTable.tsx';
import { pictureTable } from '../results/pictureTables.ts';
import { type AnswerChoice, estimateOf, evaluationPictures } from './evaluationPictures.ts';

/** Nodes in their order, with what they lose. */
export function nodesTable({ evaluation }: CircuitPanelState, circuit: CircuitFile, answer: AnswerChoice): TableModel {
  const unit = evaluation?.metric.unit ?? '';
  const text = (id: string, drop = 0) => ({ id, label: id, kind: 'text', drop }) as const;
  const number = (id: string, label: string, drop: number) => ({ id, label, kind: 'number', drop }) as const;
  return {
    id: 'nodes',
    caption: `Nodes of ${circuit.name}, in the order in which they are added back`,
    columns: [
      text('node'),
      text('role'),
      text('name', 2),
      text('at', 1),
      number('effect', 'effect found', 2),
      number('loss', `loss when removed, ${unit}`, 0),
      number('low', '95 % low', 1),
      number('high', '95 % high', 1),
    ],
    rows: circuit.nodes.map(({ node, role, label, at, effect }) => {
      const loss = evaluation?.minimality.find((one) => one.node === node)?.loss;
      const estimate = loss && estimateOf(loss, answer);
      const [low, high] = estimate?.interval ?? [null, null];
      return [node, role ?? '', label ?? '', at?.join(', ') ?? '', effect ?? null, estimate?.mean ?? null, low, high];
    }),
  };
}

/** Edges of the file. */
function edgesTable(circuit: CircuitFile): TableModel | null {
  const { edges = [] } = circuit;
  if (edges.length === 0) return null;
  const text = (id: string) => ({ id, label: id, kind: 'text' }) as const;
  return {
    id: 'edges',
    caption: 'Edges',
    columns: [text('from'), text('to'), text('channel'), { id: 'effect', label: 'effect', kind: 'number' }],
    rows: edges.map(({ from, to, channel, effect }) => [from, to, channel, effect ?? null]),
  };
}

/** Every number of the panel. */
export function circuitTables(state: CircuitPanelState, circuit: CircuitFile, answer: AnswerChoice): TableModel[] {
  const edges = edgesTable(circuit);
  const { evaluation } = state;
  const pictures = evaluation === null ? [] : evaluationPictures(evaluation, answer);
  return [nodesTable(state, circuit, answer), ...(edges ? [edges] : []), ...pictures.map(pictureTable)];
}
