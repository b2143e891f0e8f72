import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { FiguresPanelState } from '../../../src/shared/figuresPanelProtocol.ts';
import { steerFigures } from '../../../src/shared/steerFigures.ts';
import { makeEvaluation, makeFigures } from '../../support/figuresFixture.ts';
import { makeSteering } from '../../support/steerFixture.ts';
import { makePaths } from '../../support/treeFixture.ts';
import { findings } from '../../support/webviewHarness/axe.ts';
import { findBrowser, type Harness, startHarness } from '../../support/webviewHarness/harness.ts';
import type { HarnessTheme } from '../../support/webviewHarness/themes.ts';

const executable = findBrowser();
const reason = executable === null ? ' (skipped: no Chromium, Chrome or Edge; set CHROMIUM_PATH)' : '';

const shown = (document: FiguresPanelState['document'], error: string | null = null): FiguresPanelState => ({
  title: 'a.mechanist.json',
  document,
  error,
});
const states: Readonly<Record<string, FiguresPanelState>> = {
  whole: shown(makeFigures()),
  partial: shown(makeFigures({ done: 0.5 })),
  'not a number': shown(makeFigures({ change: () => Number.NaN })),
  evaluation: shown(makeEvaluation()),
  steering: shown(steerFigures(makeSteering())),
  paths: shown(makePaths()),
  broken: shown(makeFigures(), 'This is no result of Mechanist: it is not JSON.'),
  nothing: shown(null, 'This is no result of Mechanist: it is not JSON.'),
};

describe.skipIf(executable === null)(`panel of an experiment's step in a browser${reason}`, () => {
  let harness: Harness;
  beforeAll(async () => {
    harness = await startHarness(executable ?? '');
  });
  afterAll(async () => {
    await harness?.close();
  });
  const open = (theme: HarnessTheme, width: number, state: FiguresPanelState) =>
    harness.open({ panel: 'results', theme, width, height: 900, state });

  test.each<HarnessTheme>(['dark', 'light', 'highContrastDark', 'highContrastLight'])(
    '%s: nothing breaks the content security policy, axe finds nothing',
    async (theme) => {
      const { page, faults, send } = await open(theme, 1070, states.steering);
      expect(await findings(page)).toEqual([]);
      await send(states.paths);
      expect(await findings(page)).toEqual([]);
      await send(states.whole);
      expect(await findings(page)).toEqual([]);
      if (theme === 'dark') {
        await page.getByRole('button', { name: 'Table' }).click();
        expect(await findings(page)).toEqual([]);
      }
      expect(faults).toEqual([]);
      await page.context().close();
    },
  );

  test.each([420, 700, 1000, 1600])('at %d px the page never scrolls sideways', async (width) => {
    const { page, send } = await open('dark', width, states.whole);
    for (const [name, state] of Object.entries(states)) {
      await send(state);
      const extra = await page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      expect(extra, name).toBeLessThanOrEqual(0);
    }
    await page.context().close();
  });

  test('the keyboard alone: a chart is one stop, arrows read, Enter selects, c copies, t shows the table', async () => {
    const panel = await open('dark', 1070, states.whole);
    const { page } = panel;
    const figure = page
      .locator('figure', { has: page.locator('.m-chart-svg') })
      .filter({ hasText: 'Three heads bring' });
    const readout = figure.locator('.m-readout').first();
    await figure.locator('.m-chart-svg').focus();
    await page.keyboard.press('Home');
    await expect.poll(() => readout.textContent()).toContain('letter 3, none −0.990 logits');
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowDown');
    await expect.poll(() => readout.textContent()).toContain('letter 2, +8.11 +0.380 logits');
    await expect.poll(() => readout.textContent()).toContain('95 % [+0.280, +0.480] · n = 500 · dashes +1.99 logits');
    await page.keyboard.press('Enter');
    await page.keyboard.press('c');
    await expect.poll(() => panel.sent()).toContainEqual({ type: 'copy', text: 'letter 2, +8.11\t0.38' });
    await expect.poll(() => panel.kept()).toMatchObject({ selected: { 'add-back': '1.1' } });
    await page.keyboard.press('t');
    await expect.poll(() => page.getByRole('table').count()).toBe(10);
    await page.context().close();
  });

  test('a pointer reads the mark under it, and Escape hides the box', async () => {
    const { page } = await open('light', 1070, states.whole);
    const figure = page.locator('figure', { has: page.locator('.m-chart-svg') }).filter({ hasText: 'lowers letter 3' });
    await figure.locator('rect').first().hover();
    await expect.poll(() => figure.locator('.m-hover').textContent()).toContain('L8.H11 −2.72 logits');
    await figure.locator('.m-chart-svg').focus();
    await page.keyboard.press('Escape');
    await expect.poll(() => figure.locator('.m-hover').count()).toBe(0);
    await page.context().close();
  });

  test('a tree by keyboard: arrows read, close and open, Enter selects, c copies', async () => {
    const panel = await open('light', 700, states.paths);
    const { page } = panel;
    const readout = page.locator('.m-tree-figure .m-readout');
    await page.getByRole('tree').focus();
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowRight');
    await expect.poll(() => readout.textContent()).toContain('MLP 29@END <= L25.H2@name −0.760 logits');
    await page.keyboard.press('ArrowLeft');
    await expect.poll(() => page.getByRole('treeitem').count()).toBe(9);
    await page.keyboard.press('ArrowLeft');
    await page.keyboard.press('ArrowLeft');
    await expect.poll(() => page.getByRole('treeitem').count()).toBe(6);
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('Enter');
    await page.keyboard.press('c');
    await expect.poll(() => panel.sent()).toContainEqual({ type: 'copy', text: 'MLP 29@END\t-3.23' });
    await expect.poll(() => panel.kept()).toMatchObject({ selected: { tree: 'MLP 29@END' } });
    await page.getByRole('treeitem', { name: 'MLP 29@END' }).locator('.codicon').click();
    await expect.poll(() => page.getByRole('treeitem').count()).toBe(6);
    await page.context().close();
  });

  test('a map of heads asks its host to go one node down from the selected head', async () => {
    const panel = await open('dark', 1070, states.paths);
    const { page } = panel;
    const map = page.getByRole('group', { name: 'Patched effect' });
    await map.getByRole('button', { name: /^L\d+\.H\d@name$/ }).press('Enter');
    await expect
      .poll(() => panel.sent())
      .toContainEqual({ type: 'descend', under: expect.stringMatching(/^L\d+\.H\d@name$/) });
    await page.context().close();
  });

  test('exports a picture and offers the file as text', async () => {
    const panel = await open('light', 1070, states.broken);
    const { page } = panel;
    await page.getByRole('button', { name: 'Export' }).click();
    await page.getByRole('menuitem', { name: 'PNG' }).click();
    await expect
      .poll(() => panel.sent(), { timeout: 15_000 })
      .toContainEqual(expect.objectContaining({ type: 'export', format: 'png' }));
    await page.getByRole('button', { name: 'Open as Text' }).click();
    await expect.poll(() => panel.sent()).toContainEqual({ type: 'openAsText' });
    await page.context().close();
  });
});
