import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { FiguresPanelState } from '../../../src/shared/figuresPanelProtocol.ts';
import { type CouplingFixture, makeCouplingResult } from '../../support/couplingFixture.ts';
import { findings } from '../../support/webviewHarness/axe.ts';
import { findBrowser, type Harness, startHarness } from '../../support/webviewHarness/harness.ts';
import type { HarnessTheme } from '../../support/webviewHarness/themes.ts';

const executable = findBrowser();
const reason = executable === null ? ' (skipped: no Chromium, Chrome or Edge; set CHROMIUM_PATH)' : '';

const shown = (options: CouplingFixture = {}): FiguresPanelState => ({
  title: 'a.mechanist.json',
  document: makeCouplingResult(options),
  error: null,
});

describe.skipIf(executable === null)(`panel of a coupling in a browser${reason}`, () => {
  let harness: Harness;
  beforeAll(async () => {
    harness = await startHarness(executable ?? '');
  });
  afterAll(async () => {
    await harness?.close();
  });
  const open = (theme: HarnessTheme, width: number, state = shown()) =>
    harness.open({ panel: 'results', theme, width, height: 900, state });

  test.each<HarnessTheme>(['dark', 'light', 'highContrastDark', 'highContrastLight'])(
    '%s: nothing breaks the content security policy, axe finds nothing',
    async (theme) => {
      // axe takes its time over every cell: the whole matrix once.
      const some = theme === 'dark' ? {} : { observables: ['occupations', 'Dem. − Rep.'] };
      const { page, faults, send } = await open(theme, 1340, shown(some));
      expect(await findings(page)).toEqual([]);
      await send(shown({ ...some, corpus: false }));
      expect(await findings(page)).toEqual([]);
      if (theme === 'dark') {
        await page.getByRole('button', { name: 'Table' }).click();
        expect(await findings(page)).toEqual([]);
      }
      expect(faults).toEqual([]);
      await page.context().close();
    },
  );

  test.each([420, 900, 1340])('at %d px the page never scrolls sideways', async (width) => {
    const { page, send } = await open('dark', width);
    const states = [
      shown(),
      shown({ corpus: false }),
      shown({ change: () => Number.NaN }),
      shown({ observables: ['Dem. − Rep.'] }),
    ];
    for (const [i, state] of states.entries()) {
      await send(state);
      const extra = await page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      expect(extra, `state ${i}`).toBeLessThanOrEqual(0);
    }
    await page.context().close();
  });

  test('the keyboard alone: arrows read a pair, Enter shows it everywhere, the switch keeps it', async () => {
    const panel = await open('dark', 1340);
    const { page } = panel;
    const readout = page.locator('.m-coupling-matrix .m-readout');
    await page.locator('.m-coupling-matrix [data-cell][tabindex="0"]').focus();
    await page.keyboard.press('Control+Home');
    for (let i = 0; i < 8; i++) await page.keyboard.press('ArrowRight');
    await expect.poll(() => readout.textContent()).toContain('␣she − ␣he L21.H4 → occupations L21.H4 C +');
    await page.keyboard.press('Enter');
    await expect.poll(() => panel.kept()).toMatchObject({ selected: { coupling: '0.8' } });
    await expect.poll(() => page.locator('.m-coupling-pair').textContent()).toContain('occupations at L21.H4');
    await expect
      .poll(() => page.locator('.m-coupling-measured').textContent())
      .toContain('score of occupations at L21.H4');
    await page.getByRole('radio', { name: 'cos' }).press('Space');
    await expect.poll(() => readout.textContent()).toContain('occupations L21.H4 cos +');
    await page.getByRole('button', { name: 'Group order' }).press('Enter');
    await page.getByRole('menuitemcheckbox', { name: 'By Node' }).press('Enter');
    await expect.poll(() => readout.textContent()).toContain('␣she − ␣he L21.H4 → occupations L21.H4 cos +');
    await expect
      .poll(() => panel.kept())
      .toMatchObject({ measure: 'cos', grouping: 'node', selected: { coupling: '0.8' } });
    await page.context().close();
  });

  test('asks its host for a corpus, the boundary, the top tokens of the pair, and what writes one of it', async () => {
    const panel = await open('light', 1340);
    const { page } = panel;
    const cell = page.locator('[data-cell="0,8"] rect').first();
    await cell.click();
    await page.getByRole('button', { name: 'Use Boundary' }).click();
    await page.getByRole('button', { name: 'Top Tokens' }).click();
    await page.getByRole('button', { name: 'Map the Heads That Write occupations at L21.H4' }).press('Enter');
    await panel.send(shown({ corpus: false }));
    await page.getByRole('button', { name: 'Choose Corpus' }).click();
    const requests = (await panel.sent()).filter(({ type }) => (type as string) === 'coupling');
    expect(requests).toEqual([
      { type: 'coupling', request: { type: 'useBoundary' } },
      { type: 'coupling', request: { type: 'topTokens', features: [0, 8] } },
      { type: 'coupling', request: { type: 'mapHeads', feature: 8 } },
      { type: 'coupling', request: { type: 'chooseCorpus' } },
    ]);
    await page.context().close();
  });

  test('a pointer reads a token of the scatter, and the export is a picture', async () => {
    const panel = await open('light', 1340);
    const { page } = panel;
    const figure = page.locator('.m-coupling-measured figure');
    await figure.locator('circle').first().hover();
    await expect.poll(() => figure.locator('.m-hover').textContent()).toMatch(/row [+−][\d.]+, column [+−][\d.]+/);
    await page.getByRole('button', { name: 'Export' }).click();
    await page.getByRole('menuitem', { name: 'PNG' }).click();
    await expect
      .poll(() => panel.sent(), { timeout: 15_000 })
      .toContainEqual(expect.objectContaining({ type: 'export', format: 'png' }));
    await page.context().close();
  });
});
