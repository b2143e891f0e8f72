import { circuitState, edgeCircuit } from '../circuitFixture.ts';
import { makeEvaluation } from '../figuresFixture.ts';
import { type Shot, shootPanel } from './shootPanel.ts';

const edges = edgeCircuit();
const many = edgeCircuit(90);

const shots: readonly Shot[] = [
  { name: 'dark-1440', theme: 'dark', width: 1440, state: circuitState(), kept: { answer: 2 } },
  { name: 'light-1440', theme: 'light', width: 1440, state: circuitState(), kept: { answer: 2, columns: 'roles' } },
  { name: 'dark-900', theme: 'dark', width: 900, state: circuitState() },
  { name: 'light-420', theme: 'light', width: 420, state: circuitState() },
  { name: 'contrast-1200', theme: 'highContrastDark', width: 1200, state: circuitState() },
  {
    name: 'edges-dark-1440',
    theme: 'dark',
    width: 1440,
    state: circuitState({ circuit: edges, evaluation: makeEvaluation(edges) }),
  },
  {
    name: 'many-light-1440',
    theme: 'light',
    width: 1440,
    state: circuitState({ circuit: many, evaluation: makeEvaluation(many) }),
  },
  { name: 'old-light-1200', theme: 'light', width: 1200, state: circuitState({ freshness: 'old' }) },
];

/** Takes pictures of the circuit panel into `folder`. */
export async function shoot(folder: string, only?: string): Promise<void> {
  await shootPanel('circuit', shots, folder, only);
}
