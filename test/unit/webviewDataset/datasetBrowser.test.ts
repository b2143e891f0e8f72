import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { DatasetBook } from '../../../src/core/tasks/datasetBook.ts';
import type { DatasetPanelState, FromDatasetPanel } from '../../../src/shared/datasetPanelProtocol.ts';
import { acronymText, panelState, readBook } from '../../support/datasetFixture.ts';
import { findings } from '../../support/webviewHarness/axe.ts';
import { findBrowser, type Harness, type HarnessPage, startHarness } from '../../support/webviewHarness/harness.ts';
import type { HarnessTheme } from '../../support/webviewHarness/themes.ts';

const executable = findBrowser();
const reason = executable === null ? ' (skipped: no Chromium, Chrome or Edge; set CHROMIUM_PATH)' : '';

describe.skipIf(executable === null)(`the dataset panel in a browser${reason}`, () => {
  let harness: Harness;
  let book: DatasetBook;
  let states: Readonly<Record<string, DatasetPanelState>>;
  beforeAll(async () => {
    harness = await startHarness(executable ?? '');
    book = await readBook(await acronymText(40), 'acronyms');
    states = {
      whole: panelState(book),
      reading: { ...panelState(book), summary: null, window: null, finding: 'reading tokens…' },
      form: panelState(await readBook(await acronymText(40), null), { notice: 'acronyms is not on this machine.' }),
      empty: panelState(await readBook('', 'acronyms')),
    };
  });
  afterAll(async () => {
    await harness?.close();
  });
  const open = (theme: HarnessTheme, width: number, kept?: unknown) =>
    harness.open({ panel: 'dataset', theme, width, height: 900, state: states.whole, kept });
  const sent = async (panel: HarnessPage) => (await panel.sent()) as unknown as FromDatasetPanel[];

  test.each<HarnessTheme>(['dark', 'light', 'highContrastDark', 'highContrastLight'])(
    '%s: nothing breaks the content security policy, axe finds nothing',
    async (theme) => {
      const { page, faults } = await open(theme, 1070, { corruption: 'cur:L2' });
      expect(await findings(page)).toEqual([]);
      expect(faults).toEqual([]);
      await page.context().close();
    },
  );

  test.each([420, 800, 1600])('at %d px the page never scrolls sideways', async (width) => {
    const { page, send } = await open('dark', width);
    for (const [name, state] of Object.entries(states)) {
      await send(state);
      const extra = await page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      expect(extra, name).toBeLessThanOrEqual(0);
    }
    await page.context().close();
  });

  test('the keyboard alone: the list is one stop, arrows read tokens, n finds refused rows, Enter opens, c copies', async () => {
    const panel = await open('dark', 1070, { corruption: 'cur:L2' });
    const { page } = panel;
    const readout = page.locator('.m-readout');
    await page.getByRole('grid').focus();
    await page.keyboard.press('ArrowDown');
    for (let i = 0; i < 5; i++) await page.keyboard.press('ArrowRight');
    const [, second] = book.rows({ by: 'index', from: 0, count: 2 });
    const text = (tokens: readonly { text: string }[]) => tokens[4].text.replace(' ', '␣');
    await expect.poll(() => readout.textContent()).toContain(`row 2 · position 5 of 11 ${text(second.tokens)}`);
    await expect
      .poll(() => readout.textContent())
      .toContain(`role C2 · cur:L2: becomes ${text(second.corrupted['cur:L2'])}`);
    await page.keyboard.press('n');
    await expect.poll(() => readout.textContent()).toContain('row 5, line 6 refused');
    await page.keyboard.press('Enter');
    const [{ column }] = book.rows({ by: 'line', line: 5 })[0].problems;
    await expect.poll(() => sent(panel)).toContainEqual({ type: 'openLine', line: 5, column });
    await page.keyboard.press('Home');
    await page.keyboard.press('Control+Home');
    await page.keyboard.press('c');
    const [first] = book.rows({ by: 'index', from: 0, count: 1 });
    const copied = first.tokens.map(({ text: own }) => own.replaceAll(' ', '␣')).join(' ');
    await expect.poll(() => sent(panel)).toContainEqual({ type: 'copy', text: copied });
    await page.keyboard.press('?');
    await expect.poll(() => page.locator('.m-keys').count()).toBe(1);
    await page.context().close();
  });

  test('100,000 rows: only those in sight are drawn, and those around them asked for', async () => {
    const panel = await open('light', 1070);
    const { page, send } = panel;
    const { summary, window: first } = states.whole;
    if (summary === null || first === null) throw new Error('no rows');
    const many = { ...states.whole, summary: { ...summary, good: 99_996, refused: 4 } };
    await send(many);
    await page.getByRole('grid').focus();
    await page.keyboard.press('Control+End');
    await expect.poll(() => page.locator('.d-row').count()).toBeLessThan(40);
    await expect
      .poll(async () =>
        (await sent(panel)).some((m) => m.type === 'window' && m.from > 99_900 && m.from + m.count >= 100_000),
      )
      .toBe(true);
    const rows = first.rows.slice(0, 30).map((row, i) => ({ ...row, line: 99_971 + i }));
    await send({ ...many, window: { filter: 'all', from: 99_970, rows } });
    await expect.poll(() => page.locator('.d-row').last().textContent()).toContain('100001');
    await page.context().close();
  });

  test('refused rows can be listed alone', async () => {
    const panel = await open('dark', 800);
    await panel.page.getByText('Refused (', { exact: false }).click();
    await expect
      .poll(() => sent(panel))
      .toContainEqual(expect.objectContaining({ type: 'window', filter: 'refused', from: 0 }));
    const rows = book.rows({ by: 'refused', from: 0, count: 50 });
    await panel.send({ ...states.whole, window: { filter: 'refused', from: 0, rows } });
    await expect.poll(() => panel.page.locator('.d-row.d-refused').count()).toBe(rows.length);
    await expect.poll(() => panel.page.locator('.d-row').count()).toBe(rows.length);
    await panel.page.context().close();
  });
});
