import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CircuitPanelState } from '../../../src/shared/circuitPanelProtocol.ts';
import { circuitState, edgeCircuit } from '../../support/circuitFixture.ts';
import { makeEvaluation } from '../../support/figuresFixture.ts';
import { findings } from '../../support/webviewHarness/axe.ts';
import { findBrowser, type Harness, startHarness } from '../../support/webviewHarness/harness.ts';
import type { HarnessTheme } from '../../support/webviewHarness/themes.ts';

const executable = findBrowser();
const reason = executable === null ? ' (skipped: no Chromium, Chrome or Edge; set CHROMIUM_PATH)' : '';

const fault = { line: 3, column: 9, severity: 'error', message: 'There is a comma too many.' } as const;
const many = edgeCircuit(62);
const states: Readonly<Record<string, CircuitPanelState>> = {
  whole: circuitState(),
  many: circuitState({ circuit: many, evaluation: makeEvaluation(many) }),
  'nothing computed': circuitState({ evaluation: null, gains: [], detail: null, freshness: 'old' }),
  'no data': circuitState({ setting: null, evaluation: null }),
  'other weights': circuitState({ evaluation: null, otherModel: { expected: 'aaaaaaaa', found: 'bbbbbbbb' } }),
  broken: { ...circuitState(), circuit: null, faults: [fault] },
};

describe.skipIf(executable === null)(`circuit panel in a browser${reason}`, () => {
  let harness: Harness;
  beforeAll(async () => {
    harness = await startHarness(executable ?? '');
  });
  afterAll(async () => {
    await harness?.close();
  });
  const open = (theme: HarnessTheme, width: number, state: CircuitPanelState, kept?: unknown) =>
    harness.open({ panel: 'circuit', theme, width, height: 900, state, kept });
  const sent = async (from: { sent: () => Promise<unknown[]> }) => (await from.sent()) as unknown[];

  test.each<HarnessTheme>(['dark', 'light', 'highContrastDark', 'highContrastLight'])(
    '%s: nothing breaks the content security policy, axe finds nothing',
    async (theme) => {
      const { page, faults } = await open(theme, 1200, states.whole);
      expect(await findings(page)).toEqual([]);
      expect(faults).toEqual([]);
      await page.context().close();
    },
  );

  test('axe finds nothing in the other states and in the tables', async () => {
    const { page, send, faults } = await open('light', 800, states.whole);
    for (const [name, state] of Object.entries(states)) {
      if (name === 'whole') continue;
      await send(state);
      expect(await findings(page), name).toEqual([]);
    }
    await send(states.whole);
    await page.getByRole('button', { name: 'Table' }).click();
    expect(await findings(page)).toEqual([]);
    expect(faults).toEqual([]);
    await page.context().close();
  });

  test.each([420, 600, 900, 1200, 1600])('at %d px the page never scrolls sideways', async (width) => {
    const { page, send, faults } = await open('dark', width, states.whole);
    for (const [name, state] of Object.entries(states)) {
      await send(state);
      const extra = await page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      expect(extra, name).toBeLessThanOrEqual(0);
    }
    expect(faults).toEqual([]);
    await page.context().close();
  });

  test('the keyboard alone: walk by edges, select, take out, name, zoom, leave', async () => {
    const panel = await open('dark', 1200, states.whole, { answer: 2 });
    const { page } = panel;
    const readout = page.locator('.m-diagram .m-readout').first();
    await page.locator('[data-box="L5.H8"]').focus();
    await expect.poll(() => readout.textContent()).toContain('L5.H8 +0.190 logits');
    await page.keyboard.press('ArrowDown');
    await expect.poll(() => readout.textContent()).toContain('L4.H11 +0.160 logits');
    await page.keyboard.press('Enter');
    await expect.poll(() => panel.kept()).toMatchObject({ node: 'L4.H11' });
    await page.keyboard.press('Tab');
    await expect.poll(() => readout.textContent()).toContain('L5.H8');
    await page.keyboard.press('r');
    await page.keyboard.press('F2');
    await page.keyboard.press('Insert');
    await page.keyboard.press('+');
    await page.keyboard.press('Delete');
    await expect.poll(() => sent(panel)).toContainEqual({ type: 'edit', edit: { kind: 'remove', node: 'L5.H8' } });
    expect(await sent(panel)).toEqual(
      expect.arrayContaining([
        { type: 'ask', what: 'role', node: 'L5.H8' },
        { type: 'ask', what: 'label', node: 'L5.H8' },
        { type: 'ask', what: 'add' },
      ]),
    );
    await expect.poll(() => panel.kept()).toMatchObject({ zoom: 1.25 });
    await page.keyboard.press('Escape');
    expect(await page.evaluate(() => document.activeElement === document.body)).toBe(true);
    await page.context().close();
  });

  test('a head is dragged out, and one from outside in, at the place where it is let go', async () => {
    const panel = await open('light', 1200, states.whole);
    const { page } = panel;
    const drag = async (from: string, to: { x: number; y: number }) => {
      const box = await page.locator(from).boundingBox();
      if (!box) throw new Error(from);
      await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
      await page.mouse.down();
      await page.mouse.move(to.x - 20, to.y, { steps: 4 });
      await expect.poll(() => page.locator('.m-ghost').count()).toBe(1);
      await page.mouse.move(to.x, to.y);
      await page.mouse.up();
    };
    const tray = await page.locator('.m-tray').boundingBox();
    await drag('[data-box="L9.H9"]', { x: (tray?.x ?? 0) + 60, y: (tray?.y ?? 0) + 8 });
    await expect.poll(() => sent(panel)).toContainEqual({ type: 'edit', edit: { kind: 'remove', node: 'L9.H9' } });
    const target = await page.locator('[data-box="L2.H2"]').boundingBox();
    await drag('.m-chip:has-text("L7.H10")', { x: (target?.x ?? 0) + 30, y: (target?.y ?? 0) - 20 });
    const added = { type: 'edit', edit: { kind: 'add', node: 'L7.H10', at: ['T2'] } };
    await expect.poll(() => sent(panel)).toContainEqual(added);
    // A press that does not move selects.
    await page.locator('[data-box="L1.H0"]').click();
    await expect.poll(() => panel.kept()).toMatchObject({ node: 'L1.H0' });
    await expect.poll(() => sent(panel)).toContainEqual({ type: 'select', node: 'L1.H0', answer: 'all' });
    await page.context().close();
  });

  test('old numbers stay, grey, until new ones come; the selection stays', async () => {
    const panel = await open('dark', 1200, states.whole, { node: 'L10.H10' });
    const { page, send } = panel;
    await send(circuitState({ freshness: 'old' }));
    await expect.poll(() => page.locator('h1').textContent()).toContain('updating, was 1.05');
    expect(await page.locator('.m-evidence.m-old').getAttribute('aria-busy')).toBe('true');
    await send(circuitState());
    await expect.poll(() => page.locator('.m-evidence.m-old').count()).toBe(0);
    expect(await page.locator('.m-node-detail h2').textContent()).toContain('L10.H10');
    await page.context().close();
  });

  test('switches, export, what stands in', async () => {
    const panel = await open('light', 1200, states.whole);
    const { page } = panel;
    await page.getByText('letter 2', { exact: true }).first().click();
    await page.getByText('Roles', { exact: true }).click();
    await expect.poll(() => panel.kept()).toMatchObject({ answer: 1, columns: 'roles' });
    await page.getByText('Zero', { exact: true }).click();
    const edit = { kind: 'ablation', ablation: { kind: 'zero' } };
    await expect.poll(() => sent(panel)).toContainEqual({ type: 'edit', edit });
    await page.getByRole('button', { name: 'Export' }).click();
    await page.getByRole('menuitem', { name: 'SVG' }).click();
    await expect.poll(() => sent(panel)).toContainEqual(expect.objectContaining({ type: 'export', format: 'svg' }));
    await page.context().close();
  });
});
