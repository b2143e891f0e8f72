import type { FiguresPanelState } from '../../../src/shared/figuresPanelProtocol.ts';
import { type CouplingFixture, makeCouplingResult } from '../couplingFixture.ts';
import { type Shot, shootPanel } from './shootPanel.ts';

const state = (options: CouplingFixture = {}): FiguresPanelState => ({
  title: 'a.mechanist.json',
  document: makeCouplingResult(options),
  error: null,
});

const shots: readonly Shot[] = [
  { name: 'coupling-dark-1340', theme: 'dark', width: 1340, height: 780, state: state() },
  { name: 'coupling-light-1440', theme: 'light', width: 1440, state: state() },
  { name: 'coupling-dark-900', theme: 'dark', width: 900, state: state() },
  { name: 'coupling-light-420', theme: 'light', width: 420, state: state() },
  { name: 'coupling-light-700', theme: 'light', width: 700, state: state({ corpus: false }) },
  { name: 'coupling-bare-dark-1440', theme: 'dark', width: 1440, state: state({ corpus: false }) },
  { name: 'coupling-contrast-1340', theme: 'highContrastDark', width: 1340, state: state() },
  {
    name: 'coupling-node-light-1340',
    theme: 'light',
    width: 1340,
    state: state(),
    kept: { grouping: 'node', measure: 'cos' },
  },
  { name: 'coupling-table-dark-1340', theme: 'dark', width: 1340, state: state(), kept: { table: true } },
];

/** Takes pictures of the panel of a coupling into `folder`. */
export async function shoot(folder: string, only?: string): Promise<void> {
  await shootPanel('results', shots, folder, only);
}
