// Ablating and patching from the palette, on the bundled model, against the command line.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Frame } from 'playwright-core';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { type RunningServer, startServer } from '../../tools/vscode-host/host.mjs';
import { axeInEveryTheme, noFindings } from './everyTheme.ts';
import { isRounded } from './numbers.ts';
import { stepsOf } from './step.ts';
import { classicWindow, Workbench } from './workbench.ts';

const clean = 'The nurse said that';
const corrupted = 'The farmer said that';
const folder = mkdtempSync(join(tmpdir(), 'mechanist-sweeps-'));

/** What `mechanist ablate --json` and `patch --json` print, as far as these tests read it. */
interface SweepOutput {
  readonly clean: number;
  readonly corrupted: number | null;
  readonly values: readonly (readonly number[])[];
}

let server: RunningServer;
let workbench: Workbench;

function byCommandLine(...args: string[]): SweepOutput {
  const scored = ['--model', 'small-world', '--answer', ' she', '--foil', ' he', '--json'];
  const text = execFileSync(process.execPath, [join('dist', 'cli.cjs'), ...args, ...scored], {
    encoding: 'utf8',
    maxBuffer: 1e8,
    timeout: 120_000,
  });
  return JSON.parse(text);
}

beforeAll(async () => {
  const front = `model: small-world\nobservable: { " she": 1, " he": -1 }\ncorrupted: ${corrupted}`;
  writeFileSync(join(folder, 'nurse.prompt'), `---\n${front}\n---\n${clean}\n`);
  server = await startServer({
    folder,
    extension: { link: resolve('.') },
    settings: classicWindow,
    env: { HF_ENDPOINT: 'http://127.0.0.1:9' },
  });
  workbench = await Workbench.open(server.url);
  await workbench.openFile('nurse.prompt');
  await workbench.lensWith(/logits/);
});

afterAll(async () => {
  await workbench?.close();
  await server?.stop();
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
});

const step = stepsOf('sweeps', () => ({ workbench, server }));

/** Types `row` into the quick input and accepts it; returns what all rows said. A mouse would rest on a tooltip. */
async function pick(question: string, row: string): Promise<string[]> {
  const { page } = workbench;
  const input = page.locator('.quick-input-widget input[type="text"]').and(page.getByPlaceholder(question));
  await input.waitFor();
  const rows = page.locator('.quick-input-list .monaco-list-row');
  const texts = await rows.allTextContents();
  await input.fill(row);
  // The filter follows the typing a moment later.
  await workbench.until(`the row ${row}`, async () => {
    const first = await rows.first().textContent();
    return first?.includes(row) && (await rows.count()) < texts.length ? true : null;
  });
  await page.keyboard.press('Enter');
  return texts;
}

/** The panel of a finished sweep whose figure is called `figure`. */
async function finished(figure: string): Promise<Frame> {
  const grid = `main[data-status="ready"] [data-matrix="grid"][aria-label="${figure}"]`;
  return (await workbench.frameWith(grid)).frame;
}

/** `[row][column]`, rows from the top: the change that a screen reader hears for each cell. */
async function changes(frame: Frame): Promise<string[][]> {
  const rows = await frame
    .locator('[data-matrix="grid"] [role="row"]')
    .evaluateAll((all) =>
      all.map((row) =>
        [...row.querySelectorAll('[role="gridcell"]')].map((cell) => cell.getAttribute('aria-label') ?? ''),
      ),
    );
  return rows.map((row) => row.map((label) => /, ([+−]?[\d.e−]+) logits/.exec(label)?.[1] ?? label));
}

function expectChanges(shown: readonly (readonly string[])[], { values }: SweepOutput, base: number): void {
  // Layers run upward: the last one is on top.
  const upward = [...values].reverse();
  expect(shown.map((row) => row.length)).toEqual(upward.map((row) => row.length));
  for (const [r, row] of upward.entries())
    for (const [c, value] of row.entries())
      expect(isRounded(shown[r][c], value - base), `${r}.${c}: ${shown[r][c]} ${value - base}`).toBe(true);
}

describe('Mechanist: Ablate', () => {
  let frame: Frame;

  step('says what each choice costs, and gives the numbers of the command line', async () => {
    await workbench.click(clean, 'said');
    await workbench.runCommand('Mechanist: Ablate');
    const sites = await pick('What is taken away, one at a time', 'Heads: 24');
    expect(sites[0]).toMatch(/at most 25 forward passes/);
    await pick('What stands in for it', 'Zero');
    const methods = await pick('How the cells are computed', 'Exact');
    expect(methods.join('\n')).toMatch(/Screened[\s\S]*Attribution/);
    const metrics = await pick('What is measured', 'Logit difference');
    expect(metrics[0]).toMatch(/Logit difference.*as usual/);
    frame = await finished('Every head');
    const expected = byCommandLine('ablate', '--prompt', clean, '--sites', 'heads', '--mode', 'zero');
    expectChanges(await changes(frame), expected, expected.clean);
    const title = (await frame.locator('h1').textContent()) ?? '';
    const largest = Math.max(...expected.values.flat().map((value) => Math.abs(value - expected.clean)));
    const [, change = ''] = /^L\d\.H\d matters most: ([+−][\d.]+) of \+[\d.]+ logits$/.exec(title) ?? [];
    expect(isRounded(change.slice(1), largest), title).toBe(true);
  });

  step('shows where a selected head looks', async () => {
    await frame.locator('[data-cell="1,2"]').first().click();
    await frame.locator('h3').filter({ hasText: 'Attention of L2.H2 on prompt 1' }).waitFor();
    await workbench.until('the pattern', async () => {
      const label = await frame
        .locator('[data-matrix="attention"] [role="gridcell"]')
        .first()
        .getAttribute('aria-label');
      return label?.includes('1.00 of attention') ? true : null;
    });
  });

  step('saves a result that opens as the same figure', async () => {
    await frame.getByRole('button', { name: 'Save Result' }).click();
    const name = 'nurse.ablate.heads.zero.mechanist.json';
    await workbench.until('the file', async () => (existsSync(join(folder, name)) ? true : null));
    const before = await changes(frame);
    await workbench.openFile(name);
    const { frame: editor } = await workbench.frameWith(`text=In the file ${name}`, /(?:)/, { except: frame });
    expect(await changes(editor)).toEqual(before);
    expect(JSON.parse(readFileSync(join(folder, name), 'utf8')).schemaVersion).toBe(1);
    expect(readdirSync(folder).filter((entry) => entry.endsWith('.tmp'))).toEqual([]);
  });
});

describe('Mechanist: Patch Activations', () => {
  step('puts both prompts over the positions, with the numbers of the command line', async () => {
    await workbench.openFile('nurse.prompt');
    await workbench.click(clean, 'said');
    await workbench.runCommand('Mechanist: Patch Activations');
    const sites = await pick('What is moved from one run into the other, one cell at a time', 'before each layer');
    expect(sites[0]).toMatch(/at most \d+ forward passes/);
    await pick('In which direction', 'Denoising');
    await pick('How the cells are computed', 'Exact');
    await pick('What is measured', 'Logit difference');
    const frame = await finished('resid_pre by position');
    const expected = byCommandLine('patch', '--clean', clean, '--corrupted', corrupted, '--site', 'resid_pre');
    expectChanges(await changes(frame), expected, expected.corrupted ?? Number.NaN);
    const underlined = await frame.locator('[data-matrix="grid"] text[text-decoration="underline"]').allTextContents();
    expect(underlined).toEqual(['␣nurse', '␣farmer']);
    expect(await frame.locator('h1').textContent()).toMatch(/^L\d at \S+ restores most: /);
  });

  step('looks right and has no finding of axe in any theme', async () => {
    await workbench.runCommand('View: Toggle Primary Side Bar Visibility');
    await workbench.dragEditorBorder(420);
    const frame = await finished('resid_pre by position');
    expect(await axeInEveryTheme(workbench, frame, 'patch')).toEqual(noFindings);
  });
});
