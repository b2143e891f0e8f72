import type { GridPanelState } from '../../../src/shared/gridPanelProtocol.ts';
import { gridState, makeGrid } from '../gridFixture.ts';
import { makeHead, makeTrace } from '../traceFixture.ts';
import { type Shot, shootPanel } from './shootPanel.ts';

function running(): GridPanelState {
  const document = makeGrid({ done: 183, n: 64 });
  const progress = { done: 183, total: 270, label: 'L20.H3' };
  return gridState(document, {
    status: 'running',
    progress,
    pace: { milliseconds: 211_000, cells: 183 },
    canResume: false,
  });
}

function withHead(state: GridPanelState): GridPanelState {
  const { document } = state;
  const items = document?.items[0]?.tokens.map(({ text }) => text) ?? [];
  const trace = makeTrace({ tokens: items });
  const place = { row: 12, column: 1 };
  return { ...state, marked: [place], head: { place, item: 0, detail: makeHead(trace, 12, 1, 3), error: null } };
}

function shots(): readonly Shot[] {
  const whole = makeGrid();
  const compared = { name: 'heads.zero.mechanist.json', document: makeGrid({ seed: 9, hash: '77aa001' }) };
  const patch = gridState(makeGrid({ kind: 'patch', nLayers: 12, n: 1 }));
  return [
    { name: 'running-dark-1070', theme: 'dark', width: 1070, state: running() },
    { name: 'ready-light-1070', theme: 'light', width: 1070, state: withHead(gridState(whole)) },
    {
      name: 'difference-dark-1440',
      theme: 'dark',
      width: 1440,
      state: gridState(whole, { compared }),
      kept: { side: 'difference' },
    },
    { name: 'patch-dark-1070', theme: 'dark', width: 1070, state: patch, kept: { shown: 'normalised' } },
    {
      name: 'patch-heads-light-700',
      theme: 'light',
      width: 700,
      state: gridState(makeGrid({ kind: 'patch-heads', nLayers: 12, nHeads: 12 })),
    },
    {
      name: 'heads-by-position-light-1070',
      theme: 'light',
      width: 1070,
      state: gridState(makeGrid({ kind: 'heads-by-position', n: 1 })),
    },
    {
      name: 'heads-by-position-dark-420',
      theme: 'dark',
      width: 420,
      state: gridState(makeGrid({ kind: 'heads-by-position' })),
    },
    {
      name: 'screened-dark-420',
      theme: 'dark',
      width: 420,
      state: gridState(makeGrid({ method: 'screened', nLayers: 12, nHeads: 12 })),
    },
    { name: 'contrast-1070', theme: 'highContrastDark', width: 1070, state: gridState(makeGrid({ done: 100 })) },
    { name: 'neurons-light-1070', theme: 'light', width: 1070, state: gridState(makeGrid({ kind: 'neurons' })) },
    { name: 'mlps-dark-1070', theme: 'dark', width: 1070, state: gridState(makeGrid({ kind: 'mlps' })) },
    { name: 'table-light-1070', theme: 'light', width: 1070, state: gridState(whole), kept: { table: true } },
  ];
}

/** Takes pictures of the heat-map panel into `folder`. */
export async function shoot(folder: string, only?: string): Promise<void> {
  await shootPanel('grid', shots(), folder, only);
}
