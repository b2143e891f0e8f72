import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { GridPanelState } from '../../../src/shared/gridPanelProtocol.ts';
import { gridState, makeGrid } from '../gridFixture.ts';
import { makeHead, makeTrace } from '../traceFixture.ts';
import { findBrowser, startHarness } from './harness.ts';
import type { HarnessTheme } from './themes.ts';

type Picture = readonly [name: string, theme: HarnessTheme, width: number, state: GridPanelState, kept?: object];

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

function pictures(): readonly Picture[] {
  const whole = makeGrid();
  const compared = { name: 'heads.zero.mechanist.json', document: makeGrid({ seed: 9, hash: '77aa001' }) };
  const patch = gridState(makeGrid({ kind: 'patch', nLayers: 12, n: 1 }));
  return [
    ['running-dark-1070', 'dark', 1070, running()],
    ['ready-light-1070', 'light', 1070, withHead(gridState(whole))],
    ['difference-dark-1440', 'dark', 1440, gridState(whole, { compared }), { side: 'difference' }],
    ['patch-dark-1070', 'dark', 1070, patch, { shown: 'normalised' }],
    ['patch-heads-light-700', 'light', 700, gridState(makeGrid({ kind: 'patch-heads', nLayers: 12, nHeads: 12 }))],
    ['screened-dark-420', 'dark', 420, gridState(makeGrid({ method: 'screened', nLayers: 12, nHeads: 12 }))],
    ['contrast-1070', 'highContrastDark', 1070, gridState(makeGrid({ done: 100 }))],
    ['neurons-light-1070', 'light', 1070, gridState(makeGrid({ kind: 'neurons' }))],
    ['mlps-dark-1070', 'dark', 1070, gridState(makeGrid({ kind: 'mlps' }))],
    ['table-light-1070', 'light', 1070, gridState(whole), { table: true }],
  ];
}

/** Takes pictures of the heat-map panel into `folder`. */
export async function shoot(folder: string): Promise<void> {
  const executable = findBrowser();
  if (executable === null) throw new Error('No Chromium, Chrome or Edge was found. Set CHROMIUM_PATH.');
  mkdirSync(folder, { recursive: true });
  const harness = await startHarness(executable);
  try {
    for (const [name, theme, width, state, kept] of pictures()) {
      const { page, faults } = await harness.open({ panel: 'grid', theme, width, height: 900, state, kept });
      await page.waitForTimeout(300);
      await page.screenshot({ path: join(folder, `grid-${name}.png`), fullPage: true });
      const sideways = await page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      console.log(`${name}: ${faults.length} faults ${faults.join('; ')}, sideways ${sideways}`);
      await page.context().close();
    }
  } finally {
    await harness.close();
  }
}
