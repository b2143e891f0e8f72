// An experiment file on the bundled model: run by its CodeLens, cancelled, resumed, held to what is expected.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { type RunningServer, startServer } from '../../tools/vscode-host/host.mjs';
import { stepsOf } from './step.ts';
import { classicWindow, type Theme, themes, Workbench } from './workbench.ts';

const folder = mkdtempSync(join(tmpdir(), 'mechanist-experiment-'));
const jobs = ['nurse', 'maid', 'teacher', 'doctor', 'soldier', 'lawyer'];
const text = `# Who does the model take a job for?
model: small-world
data: jobs.jsonl
seed: 0
metric: { kind: logit-difference, foil: max }
steps:
  - baseline
  - name: residual
    run: patch-residual
    with: { corruption: corrupted }
expect:
  - baseline accuracy.clean.answer: 0 … 1 (always)
  - baseline clean.answer: 90 ± 1 (nobody)
  - { step: baseline, value: clean.answer, low: 9, model: gpt2, from: another model }
`;

let server: RunningServer;
let workbench: Workbench;

beforeAll(async () => {
  const rows = Array.from({ length: 600 }, (_, i) => ({
    ...{ id: String(i), clean: `The ${jobs[i % jobs.length]} said that`, corrupted: 'The farmer said that' },
    ...{ roles: { JOB: 1, END: -1 }, answers: [{ token: ' she', foils: [' he'] }] },
  }));
  writeFileSync(join(folder, 'jobs.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  writeFileSync(join(folder, 'jobs.experiment.yaml'), text);
  const env = { HF_ENDPOINT: 'http://127.0.0.1:9' };
  server = await startServer({ folder, extension: { link: resolve('.') }, settings: classicWindow, env });
  workbench = await Workbench.open(server.url);
  await workbench.openFile('jobs.experiment.yaml');
});

afterAll(async () => {
  await workbench?.close();
  await server?.stop();
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
});

/** Clicks an entry of a row; rows from the top. */
async function press(row: number, title: string): Promise<void> {
  const rows = await workbench.page.locator('.codelens-decoration').all();
  const placed = await Promise.all(rows.map(async (one) => ({ one, y: (await one.boundingBox())?.y ?? 0 })));
  const own = placed.sort((a, b) => a.y - b.y)[row]?.one;
  await own?.locator('a').filter({ hasText: title }).first().click();
}

const step = stepsOf('experiment', () => ({ workbench, server }));

describe('an experiment file', () => {
  step('offers to run, and runs by its lens', async () => {
    await workbench.lensWith(/Run Step/);
    expect(await workbench.codeLenses()).toEqual([
      expect.stringMatching(/Run$/),
      expect.stringMatching(/Run Step$/),
      expect.stringMatching(/Run Step$/),
    ]);
    await press(0, 'Run');
    await workbench.lensWith(/cells/);
    await workbench.screenshot('dark', 'experiment running');
    await workbench.lensWith(/Run Again/);
    expect(existsSync(join(folder, 'jobs.results/residual.mechanist.json'))).toBe(true);
  });

  step('says what was expected and what came', async () => {
    await workbench.lensWith(/1 of 2 numbers as expected/);
    const hint = await workbench.until('a hint', async () => (await workbench.lines()).find((line) => /✓/.test(line)));
    expect(hint).toMatch(/\(always\) *✓ \+?[01]/);
    await workbench.page.waitForSelector('.squiggly-warning');
    const value = JSON.parse(readFileSync(join(folder, 'jobs.results/baseline.mechanist.json'), 'utf8')).values;
    const hover = await workbench.hover('clean.answer: 90', '90', /expected/);
    expect(hover).toContain(`This is ${value['clean.answer'] < 0 ? '−' : '+'}`);
    for (const theme of Object.keys(themes) as Theme[]) {
      await workbench.useTheme(theme);
      await workbench.screenshot(theme, 'experiment');
    }
    await workbench.useTheme('dark');
  });

  step('opens the result of a step beside it', async () => {
    await press(1, 'Open Result');
    await workbench.page.waitForSelector('.tab.active[data-resource-name="baseline.mechanist.json"]');
    await workbench.page.waitForTimeout(1000);
    await workbench.screenshot('dark', 'experiment result');
  });
});
