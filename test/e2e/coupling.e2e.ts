// Couplings on the bundled model: run by CodeLens, read by keyboard and mouse, the experiment changed from the panel.
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Frame } from 'playwright-core';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { type RunningServer, startServer } from '../../tools/vscode-host/host.mjs';
import { axeInEveryTheme, noFindings } from './everyTheme.ts';
import { stepsOf } from './step.ts';
import { readAxe } from './tracePanel.ts';
import { classicWindow, Workbench } from './workbench.ts';

const folder = mkdtempSync(join(tmpdir(), 'mechanist-coupling-e2e-'));
const file = 'pronouns.experiment.yaml';
const data = 'subject.small-world.jsonl';
const corpus = 'corpus.small-world.txt';
const text = `# Do pronouns and jobs share a direction?
model: small-world
data: ${data}
observables:
  gender: { " she": 1, " he": -1 }
  object: { " her": 1, " him": -1 }
steps:
  - name: coupling
    run: couple-features
    with:
      features: { observables: [gender, object], paths: [L1.H0@name, L1.H4@name, L0.H2@name] }
      row: 1 # Ella, Steven
`;

let server: RunningServer;
let workbench: Workbench;

beforeAll(async () => {
  for (const name of [data, corpus]) cpSync(resolve('examples', 'observables', name), join(folder, name));
  writeFileSync(join(folder, file), text);
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

const step = stepsOf('coupling', () => ({ workbench, server }));

/** The panel's page once its text matches. */
const panelWith = async (wanted: RegExp): Promise<Frame> => (await workbench.frameWith('main.m-panel', wanted)).frame;

const written = () => readFileSync(join(folder, file), 'utf8');
const result = () => JSON.parse(readFileSync(join(folder, 'pronouns.results/coupling.mechanist.json'), 'utf8'));

describe('an experiment that couples features', () => {
  let frame: Frame;

  step('runs by its lens, and its result opens as the panel', async () => {
    await workbench.lensWith(/Run Step/);
    const lens = workbench.page.locator('.codelens-decoration a').filter({ hasText: 'Run Step' }).first();
    await lens.click();
    await workbench.lensWith(/Open Result/);
    await workbench.page.locator('.codelens-decoration a').filter({ hasText: 'Open Result' }).first().click();
    frame = await panelWith(/Gender and object .* cos [+−]\.\d\d at L\d\.H\d/);
    await workbench.runCommand('View: Toggle Maximize Editor Group');
    await frame.locator('text=Choose Corpus').waitFor();
    await frame.locator('text=Rows normalise: read a row from left to right.').waitFor();
    expect(await frame.locator('[role="gridcell"]').count()).toBe(36);
  });

  step('a pair is read and chosen by keyboard, another by mouse', async () => {
    await frame.locator('.m-coupling-matrix [data-cell][tabindex="0"]').focus();
    await workbench.page.keyboard.press('Control+Home');
    for (let i = 0; i < 4; i++) await workbench.page.keyboard.press('ArrowRight');
    const readout = frame.locator('.m-coupling-matrix .m-readout');
    await expect.poll(() => readout.textContent()).toMatch(/gender L1\.H0 → object L1\.H4 C [+−][\d.]+ cos [+−][\d.]+/);
    await workbench.page.keyboard.press('Enter');
    const pair = frame.locator('.m-coupling-pair');
    await expect.poll(() => pair.textContent()).toContain('object at L1.H4');
    await frame.locator('[data-cell="1,3"] rect').first().click();
    await expect.poll(() => pair.textContent()).toContain('object at L1.H0');
    expect(await pair.textContent()).toContain('gender at L1.H4');
    expect(await pair.textContent()).toContain('L1.H4@1');
  });

  step('Use Boundary changes the file and the figure', async () => {
    const before = result().pictures[0];
    await frame.locator('text=/ρ reaches \\.\\d+ at this prompt/').waitFor();
    await frame.getByRole('button', { name: 'Use Boundary' }).click();
    frame = await panelWith(/point boundary/);
    expect(written()).toBe(text.replace('      features:', '      point: boundary\n      features:'));
    const after = result().pictures[0];
    expect(after.point).toBe('boundary');
    expect(after.values.C).not.toEqual(before.values.C);
    expect(await frame.getByRole('button', { name: 'Use Boundary' }).count()).toBe(0);
  });

  step('Choose Corpus measures the pairs on text', async () => {
    await frame.getByRole('button', { name: 'Choose Corpus' }).click();
    // The dialog writes its own path first.
    await workbench.page.locator('.quick-input-list .monaco-list-row').filter({ hasText: corpus }).waitFor();
    await workbench.page.locator('.quick-input-widget input[type="text"]').fill(join(folder, corpus));
    await workbench.page.locator('.quick-input-widget .monaco-button').filter({ hasText: 'OK' }).click();
    frame = await panelWith(/corpus corpus\.small-world\.txt, [\d,]+ tokens/);
    expect(written()).toContain(`      corpus: ${corpus}\n`);
    expect(await frame.locator('.m-coupling-measured').textContent()).toMatch(/fit, slope [+−][\d.]+ ± [\d.]+/);
    expect(result().pictures[0].corpus.sample.tokens).toHaveLength(900);
  });

  step('looks right and has no finding of axe in any theme', async () => {
    await workbench.runCommand('View: Toggle Primary Side Bar Visibility');
    expect(await axeInEveryTheme(workbench, frame, 'coupling')).toEqual(noFindings);
  });

  step('Top Tokens adds a step for the pair, runs it, and shows it', async () => {
    await frame.getByRole('button', { name: 'Top Tokens' }).click();
    await panelWith(/Tokens at the ends of features/);
    expect(written()).toContain('  - name: top-tokens\n    run: top-tokens\n');
    expect(written()).toContain('point: boundary }');
    expect(written()).toContain('row: 1 # Ella, Steven');
  });

  step('debias runs and says what it costs; a feature is exported', async () => {
    const feature = '{ observable: gender, path: L0.H2@name }';
    const more = `  - run: debias
    with: { feature: ${feature}, protected: object, layers: [0, 1] }
  - run: feature
    with: { features: [${feature}] }
`;
    writeFileSync(join(folder, file), written() + more);
    await workbench.openFile(file);
    await workbench.until('both new steps', async () =>
      (await workbench.codeLenses()).filter((row) => /Run Step/.test(row)).length >= 2 ? true : null,
    );
    await workbench.runCommand('Mechanist: Run Experiment');
    const results = join(folder, 'pronouns.results');
    await workbench.until('both results', async () =>
      ['debias.mechanist.json', 'feature.safetensors'].every((name) => existsSync(join(results, name))) ? true : null,
    );
    const debias = await workbench.until('all layers', async () => {
      const found = JSON.parse(readFileSync(join(results, 'debias.mechanist.json'), 'utf8'));
      return found.complete ? found : null;
    });
    expect(debias.title).toMatch(
      /^Projecting out at L0 is not selective: ␣she − ␣he \+1.* → .*; ␣her − ␣him .*, which was to stay$/,
    );
    const bytes = readFileSync(join(results, 'feature.safetensors'));
    const header = JSON.parse(bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE())).toString());
    expect(JSON.stringify(header)).toContain('L0.H2');
    await workbench.openFile('debias.mechanist.json');
    frame = await panelWith(/What may be said of it/);
    await workbench.screenshot('dark', 'debias');
    expect(await readAxe(frame)).toEqual([]);
  });

  step('a node of the pair leads to the heads that write there', async () => {
    await workbench.openFile('coupling.mechanist.json');
    frame = await panelWith(/Measured on text/);
    await frame.getByRole('button', { name: /^Map the Heads That Write object at L1\.H0/ }).click();
    const map = await panelWith(/What writes ␣her − ␣him through L1\.H0@name/);
    expect(written()).toContain('run: heads-map\n    with:\n      observable: object\n      under: "L1.H0');
    await workbench.screenshot('dark', 'heads that write a feature');
    expect(await readAxe(map)).toEqual([]);
  });
});
