import type { FiguresPanelState } from '../../../src/shared/figuresPanelProtocol.ts';
import { steerFigures } from '../../../src/shared/steerFigures.ts';
import { makeEvaluation, makeFigures } from '../figuresFixture.ts';
import { makeSteering } from '../steerFixture.ts';
import { makePaths } from '../treeFixture.ts';
import { type Shot, shootPanel } from './shootPanel.ts';

const state = (document: FiguresPanelState['document'], error: string | null = null): FiguresPanelState => ({
  title: 'a.mechanist.json',
  document,
  error,
});

const shots: readonly Shot[] = [
  { name: 'dark-1200', theme: 'dark', width: 1200, state: state(makeFigures()) },
  { name: 'light-1200', theme: 'light', width: 1200, state: state(makeFigures({ done: 0.6 })) },
  { name: 'dark-700', theme: 'dark', width: 700, state: state(makeFigures()) },
  { name: 'light-420', theme: 'light', width: 420, state: state(makeFigures()) },
  { name: 'contrast-1070', theme: 'highContrastDark', width: 1070, state: state(makeFigures()) },
  { name: 'table-light-1070', theme: 'light', width: 1070, state: state(makeFigures()), kept: { table: true } },
  { name: 'evaluation-dark-1200', theme: 'dark', width: 1200, state: state(makeEvaluation()) },
  { name: 'paths-dark-1200', theme: 'dark', width: 1200, state: state(makePaths()) },
  { name: 'paths-light-420', theme: 'light', width: 420, state: state(makePaths()) },
  { name: 'paths-contrast-700', theme: 'highContrastDark', width: 700, state: state(makePaths()) },
  { name: 'steer-dark-1070', theme: 'dark', width: 1070, state: state(steerFigures(makeSteering())) },
  { name: 'steer-light-1070', theme: 'light', width: 1070, state: state(steerFigures(makeSteering())) },
  { name: 'steer-light-420', theme: 'light', width: 420, state: state(steerFigures(makeSteering())) },
  { name: 'steer-contrast-700', theme: 'highContrastLight', width: 700, state: state(steerFigures(makeSteering())) },
  {
    name: 'steer-contrast-dark-700',
    theme: 'highContrastDark',
    width: 700,
    state: state(steerFigures(makeSteering())),
  },
  { name: 'broken-light-700', theme: 'light', width: 700, state: state(null, 'It is not JSON.') },
];

/** Takes pictures of the figures panel into `folder`. */
export async function shoot(folder: string, only?: string): Promise<void> {
  await shootPanel('results', shots, folder, only);
}
