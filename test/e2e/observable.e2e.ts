// An observable is written token by token, tints a prompt, and is taken back along a head.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { type RunningServer, startServer } from '../../tools/vscode-host/host.mjs';
import { stepsOf } from './step.ts';
import { classicWindow, Workbench } from './workbench.ts';

const folder = mkdtempSync(join(tmpdir(), 'mechanist-observable-'));
const model = process.env.OBSERVABLE_MODEL ?? 'small-world';
let server: RunningServer;
let workbench: Workbench;

beforeAll(async () => {
  writeFileSync(join(folder, 'jobs.prompt'), `---\nmodel: ${model}\nobservable: { \n---\nThe nurse said that\n`);
  const env = { HF_ENDPOINT: 'http://127.0.0.1:9' };
  const settings = {
    ...classicWindow,
    'mechanist.observables': { 'pronoun-subject': { ' she': 1, ' he': -1 } },
  };
  server = await startServer({ folder, extension: { link: resolve('.') }, settings, env });
  workbench = await Workbench.open(server.url);
  await workbench.openFile('jobs.prompt');
});

afterAll(async () => {
  await workbench?.close();
  await server?.stop();
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
});

const step = stepsOf('observable', () => ({ workbench, server }));

/** Types until the list of suggestions has `label`, and takes it. */
async function complete(text: string, label: string): Promise<void> {
  const { page } = workbench;
  await page.keyboard.type(text, { delay: 60 });
  const row = page.locator('.suggest-widget.visible .monaco-list-row').filter({ hasText: label });
  await row.first().waitFor({ timeout: 60_000 });
  await workbench.screenshot('dark', `observable typing ${label}`);
  await row.first().click();
}

/** Puts the cursor behind the observable. */
async function toObservable(): Promise<void> {
  await workbench.click('observable', 'observable');
  await workbench.page.keyboard.press('End');
}

describe('an observable', () => {
  step('is completed from the tokens of the model, and tints the prompt', async () => {
    await workbench.lensWith(/see the front matter/);
    await toObservable();
    await complete('"sh', '␣she');
    await workbench.page.keyboard.type(', ');
    await complete('"he', '␣he');
    await workbench.page.keyboard.press('End');
    await workbench.page.keyboard.press('ArrowLeft');
    await workbench.page.keyboard.press('Shift+End');
    await workbench.page.keyboard.press('Backspace');
    await workbench.page.keyboard.type('-1 }');
    await workbench.lensWith(/␣she − ␣he = [+−]\d/);
    await workbench.tintOf('The nurse', 'nurse');
  });

  step('is taken back along a head, which row and hover name', async () => {
    await toObservable();
    for (const line of ['method: observable-propagation', 'view: contribution']) {
      await workbench.page.keyboard.type(`\n${line}`);
      // Enter would take what is suggested.
      await workbench.page.keyboard.press('Escape');
    }
    await workbench.lensWith(/contribution at L\d+\.H\d+@\d+, norm scales frozen/);
    const wanted = /score x·y .*attention .*A·x·y/;
    for (const theme of ['light', 'dark'] as const) {
      await workbench.useTheme(theme);
      expect(await workbench.hover('The nurse', 'nurse', wanted)).toMatch(
        /norm scales frozen[\s\S]* in all .* logits, .* % of/,
      );
      await workbench.screenshot(theme, 'observable propagation');
    }
  });

  step('is studied: what to ask is chosen, the experiment is written and run', async () => {
    const { page } = workbench;
    await workbench.click('view: contribution', 'contribution');
    await page.keyboard.press('End');
    await page.keyboard.type('\ncorrupted: The farmer said that');
    await page.keyboard.press('Control+S');
    await workbench.lensWith(/contribution at/);
    await workbench.runCommand('Mechanist: Study Observable');
    const rows = page.locator('.quick-input-list .monaco-list-row');
    await rows.filter({ hasText: 'Heads map' }).first().waitFor({ timeout: 60_000 });
    await page.waitForTimeout(500);
    await workbench.screenshot('dark', 'observable study');
    await page.keyboard.press('Enter');
    await page.waitForSelector('.tab.active[data-resource-name="jobs.experiment.yaml"]', { timeout: 60_000 });
    await workbench.lensWith(/done just now/);
    await workbench.until('all steps', async () =>
      (await workbench.codeLenses()).filter((row) => /done just now/.test(row)).length === 3 ? true : null,
    );
    await workbench.screenshot('dark', 'observable experiment');
  });
});
