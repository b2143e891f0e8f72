// The acronym circuit of the examples: opened, read, changed by keyboard alone, taken back, exported.
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Frame } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningServer, startServer } from '../../tools/vscode-host/host.mjs';
import { readAxe } from './tracePanel.ts';
import { classicWindow, Workbench } from './workbench.ts';

const folder = mkdtempSync(join(tmpdir(), 'mechanist-circuit-e2e-'));
const file = 'bundled.circuit.json';

let server: RunningServer;
let workbench: Workbench;

beforeAll(async () => {
  for (const name of [file, 'acronyms.bundled.jsonl'])
    cpSync(resolve('examples', 'acronyms', name), join(folder, name));
  server = await startServer({
    folder,
    extension: { link: resolve('.') },
    settings: { ...classicWindow, 'files.simpleDialog.enable': true },
    env: { HF_ENDPOINT: 'http://127.0.0.1:9' },
  });
  workbench = await Workbench.open(server.url);
  await workbench.openFile(file);
});

afterAll(async () => {
  await workbench?.close();
  await server?.stop();
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
});

/** A test that leaves a picture of the window when it fails. */
function step(name: string, test: () => Promise<void>): void {
  it(name, async () => {
    await test().catch(async (error) => {
      await workbench.screenshot('dark', `failed circuit ${name.replaceAll(/[^\w ]/g, '')}`);
      for (const logged of server.errorLines()) console.error(logged);
      throw error;
    });
  });
}

/** The circuit panel once its title is as wanted; what the title says. */
async function titled(wanted: RegExp): Promise<{ frame: Frame; title: string }> {
  return await workbench.until(`a circuit panel titled ${wanted}`, async () => {
    for (const frame of workbench.page.frames()) {
      const title = await frame
        .locator('main.m-panel h1')
        .first()
        .textContent({ timeout: 500 })
        .catch(() => null);
      if (title !== null && wanted.test(title)) return { frame, title };
    }
    return null;
  });
}

const faithfulness = (title: string): number => Number(/faithfulness ([\d.]+)/.exec(title)?.[1]);

describe('a circuit file', () => {
  let frame: Frame;
  let before: number;

  step('opens as a drawing with its evidence', async () => {
    const opened = await titled(/^3 of 12 heads: faithfulness [\d.]+, random/);
    ({ frame } = opened);
    before = faithfulness(opened.title);
    expect(before).toBeGreaterThan(0.9);
    for (const name of ['L1.H1', 'L1.H3', 'L1.H2']) expect(await frame.locator(`[data-box="${name}"]`).count()).toBe(1);
    await frame.locator('text=/Above \\d+ of 200 random circuits/').waitFor();
  });

  step('a head is taken out by keyboard alone: faithfulness falls, and Ctrl+Z brings it back', async () => {
    await frame.locator('[data-box="L1.H3"]').focus();
    await workbench.page.keyboard.press('Delete');
    const { title } = await titled(/^2 of 12 heads: faithfulness [\d.]+/);
    expect(faithfulness(title)).toBeLessThan(before - 0.05);
    expect(await frame.locator('[data-box="L1.H3"]').count()).toBe(0);
    await workbench.page.keyboard.press('Control+z');
    expect(faithfulness((await titled(/^3 of 12 heads: faithfulness [\d.]+/)).title)).toBe(before);
  });

  step('one from outside is dragged in', async () => {
    const chip = frame.locator('.m-chip').filter({ hasText: 'L0.H2' });
    await chip.waitFor();
    const from = await chip.boundingBox();
    const to = await frame.locator('[data-box="L1.H1"]').boundingBox();
    if (!from || !to) throw new Error('nothing to drag');
    const { mouse } = workbench.page;
    await mouse.move(from.x + 20, from.y + 8);
    await mouse.down();
    await mouse.move(to.x - 40, to.y + 30, { steps: 6 });
    await mouse.up();
    await titled(/^4 of 12 heads: faithfulness/);
    await workbench.runCommand('File: Revert File');
    await titled(/^3 of 12 heads: faithfulness/);
  });

  step('goes out as EAP-IG JSON', async () => {
    await frame.getByRole('button', { name: 'Export' }).click();
    await frame.getByRole('menuitem', { name: 'EAP-IG JSON' }).click();
    const input = workbench.page.locator('.quick-input-widget input[type="text"]');
    await input.waitFor();
    const out = join(folder, 'out.json');
    await input.fill(out);
    await workbench.page.keyboard.press('Enter');
    const text = await workbench.until('the exported file', async () => {
      try {
        return readFileSync(out, 'utf8');
      } catch {
        return null;
      }
    });
    expect(JSON.parse(text).nodes['a1.h1'].in_graph).toBe(true);
  });

  step('looks right and has no finding of axe in any theme', async () => {
    await workbench.runCommand('View: Toggle Primary Side Bar Visibility');
    const findings: Record<string, unknown> = {};
    for (const theme of ['light', 'high-contrast', 'high-contrast-light', 'dark'] as const) {
      await workbench.useTheme(theme);
      await workbench.page.mouse.move(200, 880);
      await workbench.page.waitForTimeout(800);
      await workbench.screenshot(theme, 'circuit');
      findings[theme] = await readAxe(frame);
    }
    expect(findings).toEqual({ light: [], 'high-contrast': [], 'high-contrast-light': [], dark: [] });
  });
});
