// A dataset of the bundled model: underlined at the word, explained under the mouse, shown as tokens.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { type RunningServer, startServer } from '../../tools/vscode-host/host.mjs';
import { acronymText } from '../support/datasetFixture.ts';
import { stepsOf } from './step.ts';
import { classicWindow, type Theme, themes, Workbench } from './workbench.ts';

const folder = mkdtempSync(join(tmpdir(), 'mechanist-dataset-'));
let server: RunningServer;
let workbench: Workbench;

beforeAll(async () => {
  writeFileSync(join(folder, 'acronyms.jsonl'), await acronymText(300));
  const env = { HF_ENDPOINT: 'http://127.0.0.1:9' };
  const settings = { ...classicWindow, 'editor.wordWrap': 'off' };
  server = await startServer({ folder, extension: { link: resolve('.') }, settings, env });
  workbench = await Workbench.open(server.url);
  await workbench.openFile('acronyms.jsonl');
});

afterAll(async () => {
  await workbench?.close();
  await server?.stop();
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
});

const step = stepsOf('dataset', () => ({ workbench, server }));

describe('a dataset', () => {
  step('is counted over its first line, underlined where it is wrong, explained under the mouse', async () => {
    const lens = await workbench.lensWith(/refused/);
    expect(lens).toMatch(/^Show Tokens.*266 rows, 34 refused.*acronyms$/);
    await workbench.page.waitForSelector('.squiggly-error');
    const card = await workbench.hover('"id":"3"', 'clean', /Row 3/);
    expect(card).toMatch(/Row 3 · 11 tokens of acronyms/);
    expect(card).toMatch(/L1 → . against 25 foils/);
    expect(card).toMatch(/cur:L2\s+C2 ␣., T2 \w+/);
    for (const theme of ['light', 'dark'] as const) {
      await workbench.useTheme(theme);
      await workbench.hover('"id":"3"', 'clean', /Row 3/);
      await workbench.screenshot(theme, 'dataset text');
    }
  });

  step('opens as rows of tokens beside the text, and Enter leads back to the line', async () => {
    await workbench.page.locator('.codelens-decoration a').filter({ hasText: 'Show Tokens' }).first().click();
    const frame = await workbench.webview();
    await frame.waitForSelector('.d-row .d-cell');
    expect(await frame.locator('h1').textContent()).toBe('266 rows, 34 refused');
    await frame.locator('select').selectOption('cur:L2');
    await frame.waitForSelector('.d-changed');
    const list = frame.getByRole('grid');
    await list.focus();
    await workbench.page.keyboard.press('n');
    await workbench.until('the reason', async () =>
      /row 5, line 6 refused C1 is to be one of @spaced/.test((await frame.locator('.m-readout').textContent()) ?? '')
        ? true
        : null,
    );
    for (const theme of Object.keys(themes) as Theme[]) {
      await workbench.useTheme(theme);
      await workbench.screenshot(theme, 'dataset tokens');
    }
    await list.focus();
    await workbench.page.keyboard.press('Control+End');
    await workbench.until('the last line', async () =>
      (await frame.locator('.d-row').last().textContent())?.startsWith('301') ? true : null,
    );
    await workbench.page.keyboard.press('Enter');
    await workbench.until('the cursor in the text', async () =>
      (await workbench.statusBar()).find((text) => text.startsWith('Ln 301,')),
    );
  });
});
