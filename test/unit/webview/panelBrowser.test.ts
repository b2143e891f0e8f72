import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { componentsBySize } from '../../../src/shared/traceSelection.ts';
import { makeTrace } from '../../support/traceFixture.ts';
import { hundred, readyState } from '../../support/traceStates.ts';
import { findings } from '../../support/webviewHarness/axe.ts';
import { findBrowser, type Harness, startHarness } from '../../support/webviewHarness/harness.ts';
import type { HarnessTheme } from '../../support/webviewHarness/themes.ts';

const executable = findBrowser();
const reason = executable === null ? ' (skipped: no Chromium, Chrome or Edge; set CHROMIUM_PATH)' : '';

describe.skipIf(executable === null)(`trace panel in a browser${reason}`, () => {
  let harness: Harness;
  beforeAll(async () => {
    harness = await startHarness(executable ?? '');
  });
  afterAll(async () => {
    await harness?.close();
  });
  const ready = readyState();
  const open = (theme: HarnessTheme, width: number, state = ready, kept?: unknown) =>
    harness.open({ theme, width, height: 900, state, kept });

  test.each<HarnessTheme>(['dark', 'light', 'highContrastDark', 'highContrastLight'])(
    '%s: nothing breaks the content security policy, axe finds nothing',
    async (theme) => {
      const { page, faults } = await open(theme, 960);
      expect(faults).toEqual([]);
      expect(await findings(page)).toEqual([]);
      await page.getByRole('button', { name: 'Table' }).click();
      expect(await findings(page)).toEqual([]);
      await page.context().close();
    },
  );

  test('axe finds nothing in the other states', async () => {
    const states = [
      { ...ready, document: null, lens: null, head: null, status: 'empty' as const },
      { ...ready, document: null, lens: null, head: null, status: 'loading' as const },
      { ...ready, document: null, status: 'error' as const, error: 'The engine stopped. Run again.' },
      { ...ready, status: 'stale' as const, lensError: 'The engine stopped.', head: null, headError: 'No.' },
      { ...ready, lens: null, head: null },
      readyState(hundred()),
    ];
    const { page, send, faults } = await open('light', 700, states[0]);
    for (const state of states) {
      await send(state);
      await page.waitForTimeout(350);
      expect(await findings(page)).toEqual([]);
    }
    expect(faults).toEqual([]);
    await page.context().close();
  });

  test.each([420, 700, 800, 1200])('at %d px the page never scrolls sideways', async (width) => {
    const { page, send } = await open('dark', width);
    for (const state of [ready, readyState(hundred()), readyState(makeTrace({ nHeads: 40, nLayers: 12 }))]) {
      await send(state);
      const extra = await page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      expect(extra).toBe(0);
    }
    await page.context().close();
  });

  test('the keyboard alone: move, read, select, copy, pin, table, next head', async () => {
    const { page, sent } = await open('dark', 960);
    const [first, second] = componentsBySize(makeTrace()).filter(({ component }) => component.kind === 'head');
    const grid = page.locator('[data-matrix="components"]');
    await grid.locator('[tabindex="0"]').focus();
    const readout = page.locator('figure', { has: grid }).locator('.m-readout');
    const name = `L${first.component.layer}.H${first.component.head}`;
    await expect.poll(() => readout.textContent()).toContain(name);
    await page.keyboard.press('End');
    await expect.poll(() => readout.textContent()).toContain(`L${first.component.layer} total`);
    await page.keyboard.press('Control+Home');
    await expect.poll(() => readout.textContent()).toContain('L29.H0');
    await page.keyboard.press('Enter');
    await page.keyboard.press('c');
    await expect
      .poll(() => sent())
      .toContainEqual({ type: 'selectComponent', component: { layer: 29, kind: 'head', head: 0 } });
    // What is told after a drawing may come later than the copy: the order of the two is not ours to say.
    await expect.poll(async () => (await sent()).filter(({ type }) => type === 'copy').length).toBe(1);
    await page.keyboard.press('Space');
    await expect.poll(() => page.locator('.m-pinned').count()).toBe(0);
    await page.keyboard.press('ArrowDown');
    await expect.poll(() => page.locator('.m-pinned').textContent()).toContain('L29.H0');
    await page.keyboard.press('?');
    await expect.poll(() => page.locator('.m-keys').count()).toBe(1);
    await page.keyboard.press('t');
    await expect.poll(() => page.getByRole('table').count()).toBeGreaterThan(3);
    await page.keyboard.press('Alt+ArrowDown');
    await expect.poll(async () => (await sent()).at(-1)).toMatchObject({ type: 'selectComponent' });
    expect(second.component.kind).toBe('head');
    await page.context().close();
  });

  test('pointing reads, clicking selects, the view is kept', async () => {
    const { page, sent, kept } = await open('light', 960);
    const cell = page.locator('[data-cell="3,2"]').first();
    await cell.hover();
    await expect.poll(() => page.locator('.m-hover').textContent()).toContain('L26.H2');
    await page.keyboard.press('Tab');
    await cell.click();
    await page.getByRole('option', { name: /position 4 of 9/ }).click();
    expect(await sent()).toEqual(
      expect.arrayContaining([
        { type: 'selectComponent', component: { layer: 26, kind: 'head', head: 2 } },
        { type: 'selectToken', position: 3 },
      ]),
    );
    expect(await kept()).toMatchObject({ token: 3, component: { layer: 26, kind: 'head', head: 2 } });
    await page.context().close();
  });

  test('a kept view comes back after a reload', async () => {
    const view = { token: 2, component: { layer: 5, kind: 'head', head: 1 }, table: false, numbers: true };
    const { page } = await open('dark', 960, ready, view);
    expect(await page.getByRole('option', { selected: true }).getAttribute('aria-label')).toContain('position 3 of 9');
    expect(await page.getByRole('button', { name: 'Numbers' }).getAttribute('aria-pressed')).toBe('true');
    expect(await page.locator('h2', { hasText: 'L5.H1' }).count()).toBe(1);
    await page.context().close();
  });

  test('the head that is shown is told to the host, so that it computes the detail', async () => {
    const { page, sent } = await open('dark', 960, { ...ready, head: null });
    const [largest] = componentsBySize(makeTrace()).filter(({ component }) => component.kind === 'head');
    await expect
      .poll(async () => (await sent()).at(-1))
      .toEqual({ type: 'selectComponent', component: largest.component });
    expect((await sent()).filter(({ type }) => type === 'selectToken')).toEqual([]);
    await page.context().close();
  });

  test('PNG export gives a PNG of the figure', async () => {
    const { page, faults } = await open('dark', 960);
    await page.getByRole('button', { name: 'Export' }).click();
    await page.getByRole('menuitem', { name: 'PNG' }).click();
    const picture = (): Promise<{ name: string; head: number[]; size: number } | null> =>
      page.evaluate(() => {
        const { sent } = globalThis as unknown as { sent: { type: string; name: string; data: Uint8Array }[] };
        const last = sent.at(-1);
        if (last?.type !== 'export') return null;
        return { name: last.name, head: [...last.data.slice(0, 4)], size: last.data.length };
      });
    await expect.poll(picture, { timeout: 10_000 }).not.toBeNull();
    const png = await picture();
    expect(png?.name).toBe('trace-3f9a1c7.png');
    expect(png?.head).toEqual([0x89, 0x50, 0x4e, 0x47]);
    expect(png?.size).toBeGreaterThan(50_000);
    expect(faults).toEqual([]);
    await page.context().close();
  });

  test('forced colours are drawn as high contrast', async () => {
    const { page } = await harness.open({
      theme: 'light',
      width: 960,
      height: 900,
      state: ready,
      forcedColors: 'active',
    });
    expect(await page.locator('[data-matrix="components"] line[stroke-dasharray="4 3"]').count()).toBeGreaterThan(5);
    await page.context().close();
  });
});
