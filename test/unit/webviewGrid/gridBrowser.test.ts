import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { GridPanelState } from '../../../src/shared/gridPanelProtocol.ts';
import { gridState, makeGrid } from '../../support/gridFixture.ts';
import { makeHead, makeTrace } from '../../support/traceFixture.ts';
import { findings } from '../../support/webviewHarness/axe.ts';
import { findBrowser, type Harness, startHarness } from '../../support/webviewHarness/harness.ts';
import type { HarnessTheme } from '../../support/webviewHarness/themes.ts';

const executable = findBrowser();
const reason = executable === null ? ' (skipped: no Chromium, Chrome or Edge; set CHROMIUM_PATH)' : '';

function withHead(): GridPanelState {
  const document = makeGrid();
  const trace = makeTrace({ tokens: document.items[0].tokens.map(({ text }) => text) });
  const place = { row: 12, column: 1 };
  return gridState(document, {
    marked: [place, { row: 3, column: 3 }],
    head: { place, item: 0, detail: makeHead(trace, 12, 1, 3), error: null },
  });
}

const compared = { name: 'b.mechanist.json', document: makeGrid({ seed: 9, hash: 'bbbbbbb' }) };
const states: Readonly<Record<string, GridPanelState>> = {
  ready: withHead(),
  running: gridState(makeGrid({ done: 183 }), {
    status: 'running',
    progress: { done: 183, total: 270, label: 'L20.H3' },
    pace: { milliseconds: 60_000, cells: 100 },
  }),
  partial: gridState(makeGrid({ done: 40 }), { stale: true, error: 'The engine stopped.' }),
  compared: gridState(makeGrid(), { compared, saved: 'a.mechanist.json' }),
  patching: gridState(makeGrid({ kind: 'patch', nLayers: 12 })),
  'patching heads': gridState(makeGrid({ kind: 'patch-heads', nLayers: 12 })),
  'heads by position': gridState(makeGrid({ kind: 'heads-by-position' })),
  neurons: gridState(makeGrid({ kind: 'neurons', n: 2 })),
  mlps: gridState(makeGrid({ kind: 'mlps' })),
  empty: gridState(null, { status: 'empty' }),
  loading: gridState(null),
  failed: gridState(null, { status: 'error', error: 'The prompts part at position 3.' }),
};

describe.skipIf(executable === null)(`heat-map panel in a browser${reason}`, () => {
  let harness: Harness;
  beforeAll(async () => {
    harness = await startHarness(executable ?? '');
  });
  afterAll(async () => {
    await harness?.close();
  });
  const open = (theme: HarnessTheme, width: number, state: GridPanelState, kept?: unknown) =>
    harness.open({ panel: 'grid', theme, width, height: 900, state, kept });
  const sent = async (from: { sent: () => Promise<unknown[]> }) => (await from.sent()) as unknown[];

  test.each<HarnessTheme>(['dark', 'light', 'highContrastDark', 'highContrastLight'])(
    '%s: nothing breaks the content security policy, axe finds nothing',
    async (theme) => {
      const { page, faults } = await open(theme, 1070, states.ready);
      expect(faults).toEqual([]);
      expect(await findings(page)).toEqual([]);
      await page.getByRole('button', { name: 'Table' }).click();
      expect(await findings(page)).toEqual([]);
      await page.context().close();
    },
  );

  test('axe finds nothing in the other states', async () => {
    const { page, send, faults } = await open('light', 700, states.running);
    for (const [name, state] of Object.entries(states)) {
      await send(state);
      await page.waitForTimeout(350);
      expect(await findings(page), name).toEqual([]);
    }
    expect(faults).toEqual([]);
    await page.context().close();
  });

  test.each([420, 600, 700, 800, 1000, 1600])('at %d px the page never scrolls sideways', async (width) => {
    const { page, send } = await open('dark', width, states.ready);
    for (const [name, state] of Object.entries(states)) {
      await send(state);
      const extra = await page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      expect(extra, name).toBeLessThanOrEqual(0);
    }
    await page.context().close();
  });

  test('the keyboard alone: move, read, select, copy, table', async () => {
    const panel = await open('dark', 1070, gridState(makeGrid()));
    const { page } = panel;
    const grid = page.locator('[data-matrix="grid"]');
    const readout = page.locator('figure', { has: grid }).locator('.m-readout').first();
    await grid.locator('[tabindex="0"]').focus();
    await page.keyboard.press('Control+Home');
    await expect.poll(() => readout.textContent()).toContain('L29.H0');
    await expect.poll(() => readout.textContent()).toMatch(/95 % \[.*\] · clean \+[\d.]+, ablated \+[\d.]+ · n = 16/);
    await page.keyboard.press('Enter');
    await page.keyboard.press('c');
    // The selection is told after the next drawing: in which order the two arrive is not ours to say.
    await expect.poll(() => sent(panel)).toContainEqual({ type: 'select', place: { row: 29, column: 0 }, item: 0 });
    await expect.poll(() => sent(panel)).toContainEqual({ type: 'copy', text: expect.stringMatching(/^L29\.H0\t/) });
    await page.keyboard.press('t');
    await expect.poll(() => page.getByRole('table').count()).toBe(2);
    await page.context().close();
  });

  test('a selection stays while cells arrive, and the scale does not fall', async () => {
    const panel = await open('dark', 1070, { ...states.running, document: makeGrid({ done: 90 }) });
    const { page, send } = panel;
    await page.locator('[data-cell="25,2"]').first().click();
    const end = () => page.locator('.m-key').first().getAttribute('aria-label');
    const before = await end();
    await send(states.running);
    expect(await page.locator('h2').filter({ hasText: 'L4.H2' }).count()).toBe(1);
    const size = (label: string | null) => Number(/to ≥? ?\+([\d.]+)/.exec(label ?? '')?.[1]);
    expect(size(await end())).toBeGreaterThanOrEqual(size(before));
    await page.context().close();
  });

  test('switches, threshold, cancel, resume, export', async () => {
    const panel = await open('light', 1070, gridState(makeGrid()));
    const { page, send } = panel;
    await send(states.compared);
    await expect.poll(() => page.getByRole('radio', { name: 'Difference' }).isChecked()).toBe(true);
    await page.getByText('This', { exact: true }).click();
    await page.getByText('By size').click();
    await page.getByRole('slider').fill('60');
    await expect.poll(() => panel.kept()).toMatchObject({ side: 'this', order: 'size', threshold: 0.6 });
    await page.getByRole('button', { name: 'Export' }).click();
    await page.getByRole('menuitem', { name: 'PNG' }).click();
    await expect.poll(() => sent(panel)).toContainEqual(expect.objectContaining({ type: 'export', format: 'png' }));
    await send(states.running);
    await page.getByText('Cancel, Keep What Is Done').click();
    await expect.poll(() => sent(panel)).toContainEqual({ type: 'cancel' });
    await send(states.partial);
    await page.getByText('Resume', { exact: true }).click();
    await expect.poll(() => sent(panel)).toContainEqual({ type: 'resume' });
    await page.getByText('Run Again').click();
    await expect.poll(() => sent(panel)).toContainEqual({ type: 'runAgain' });
    await page.context().close();
  });
});
