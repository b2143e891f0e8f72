// The study of the examples, run by its CodeLens, cancelled and resumed; its circuit opened, read, changed by keyboard alone,
// taken back, exported, and imported again.
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Frame, Locator } from 'playwright-core';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { type RunningServer, startServer } from '../../tools/vscode-host/host.mjs';
import { boxOfWord } from './editorText.ts';
import { axeInEveryTheme, noFindings } from './everyTheme.ts';
import { stepsOf } from './step.ts';
import { classicWindow, Workbench } from './workbench.ts';

const folder = mkdtempSync(join(tmpdir(), 'mechanist-circuit-e2e-'));
const study = 'bundled.experiment.yaml';
const file = 'bundled.circuit.json';
const again = 'again.circuit.json';
const search = 'search.experiment.yaml';
const searchText = `model: planted
data: acronyms.bundled.jsonl
steps:
  - name: edges
    run: discover-acdc
    with: { ablation: { kind: resample, corruption: all }, threshold: 0.00001 }
`;

let server: RunningServer;
let workbench: Workbench;

beforeAll(async () => {
  for (const name of [file, 'acronyms.bundled.jsonl'])
    cpSync(resolve('examples', 'acronyms', name), join(folder, name));
  // More random circuits than in the example: they must not be over before they are cancelled.
  const text = readFileSync(resolve('examples', 'acronyms', study), 'utf8');
  writeFileSync(join(folder, study), text.replace('randomCircuits: 200', 'randomCircuits: 1500'));
  writeFileSync(join(folder, search), searchText);
  server = await startServer({
    folder,
    extension: { link: resolve('.') },
    settings: { ...classicWindow, 'files.simpleDialog.enable': true },
    env: { HF_ENDPOINT: 'http://127.0.0.1:9' },
  });
  workbench = await Workbench.open(server.url);
});

afterAll(async () => {
  await workbench?.close();
  await server?.stop();
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
});

const step = stepsOf('circuit', () => ({ workbench, server }));

/** The circuit panel once its title is as wanted; what the title says. */
async function titled(wanted: RegExp): Promise<{ frame: Frame; title: string }> {
  const { frame, text } = await workbench.frameWith('main.m-panel h1', wanted);
  return { frame, title: text };
}

const faithfulness = (title: string): number => Number(/faithfulness ([\d.]+)/.exec(title)?.[1]);

/** The row over the step whose name stands in a line; null while it is not drawn. */
async function rowOver(name: string): Promise<Locator | null> {
  const box = await boxOfWord(workbench.page, `name: ${name}`, name);
  if (box === null) return null;
  const rows = await workbench.page.locator('.codelens-decoration').all();
  const placed = await Promise.all(rows.map(async (row) => ({ row, y: (await row.boundingBox())?.y ?? 0 })));
  return placed.filter(({ y }) => y < box.y).sort((a, b) => b.y - a.y)[0]?.row ?? null;
}

/** Waits until the row over a step says something, and clicks it. */
async function press(name: string, title: RegExp): Promise<void> {
  const entry = await workbench.until(`${title} over ${name}`, async () => {
    const found = (await rowOver(name))?.locator('a').filter({ hasText: title }).first();
    return found && (await found.count()) > 0 ? found : null;
  });
  await entry.click();
}

/** Waits until the row over a step says something. */
async function says(name: string, wanted: RegExp): Promise<void> {
  await workbench.until(`${wanted} over ${name}`, async () => {
    const text = await (await rowOver(name))?.textContent().catch(() => null);
    return text && wanted.test(text) ? true : null;
  });
}

describe('the study of the examples', () => {
  step('runs a step by its lens, keeps what is done on cancel, and goes on from there', async () => {
    await workbench.openFile(study);
    await workbench.toEndOfLine(readFileSync(join(folder, study), 'utf8').split('\n').length - 1);
    await press('evaluate', /Run Step/);
    const parts = join(folder, 'bundled.results', 'parts', 'evaluate.jsonl');
    const cells = () => (existsSync(parts) ? readFileSync(parts, 'utf8').split('\n').length - 1 : 0);
    await workbench.until('a finished cell', async () => (cells() > 0 ? true : null));
    await press('evaluate', /Cancel/);
    await says('evaluate', /Run Step.*\d+ of 71 cells/);
    const kept = cells();
    await workbench.screenshot('dark', 'circuit study cancelled');
    await press('evaluate', /Run Step/);
    await says('evaluate', /done/);
    const result = JSON.parse(readFileSync(join(folder, 'bundled.results', 'evaluate.mechanist.json'), 'utf8'));
    expect(result.complete).toBe(true);
    // No cell was run twice.
    expect([kept < result.cells.total, cells()]).toEqual([true, result.cells.total]);
  });

  step('draws what is left while a search runs, and goes on inside it', async () => {
    await workbench.openFile(search);
    await press('edges', /Run Step/);
    await press('edges', /Open Result/);
    const running = /^ACDC: (\d+) of \d+ edges decided/;
    const { frame, title } = await titled(running);
    expect(await frame.locator('svg.m-chart-svg').first().getAttribute('aria-label')).toMatch(
      /^What is left of the model/,
    );
    await workbench.openFile(search);
    await press('edges', /Cancel/);
    await says('edges', /Run Step/);
    const file = join(folder, 'search.results', 'edges.mechanist.json');
    const left = JSON.parse(readFileSync(file, 'utf8'));
    expect(left.complete).toBe(false);
    expect(left.values.decided).toBeGreaterThanOrEqual(Number(running.exec(title)?.[1]));
    await workbench.openFile('edges.mechanist.json');
    for (const theme of ['light', 'dark'] as const) {
      await workbench.useTheme(theme);
      await workbench.screenshot(theme, 'circuit search');
    }
    await workbench.openFile(search);
    await press('edges', /Run Step/);
    await says('edges', /done/);
    const found = JSON.parse(readFileSync(file, 'utf8'));
    expect([found.complete, found.values.nodes]).toEqual([true, 5]);
    // One clean run more than a search in one go: nothing was tried twice.
    expect(found.cost.forwardPasses).toBeGreaterThan(200 * found.values.passes);
    await workbench.runCommand('View: Close All Editors');
  });
});

/** Types the path that a file dialog asks for. It writes one of its own a moment after it has opened. */
async function typePath(path: string): Promise<void> {
  const input = workbench.page.locator('.quick-input-widget:not([style*="display: none"]) input[type="text"]').first();
  await workbench.until(`${path} in the dialog`, async () => {
    await input.fill(path, { timeout: 5000 }).catch(() => undefined);
    await workbench.page.waitForTimeout(700);
    const value = await input.inputValue({ timeout: 1000 }).catch(() => null);
    return value === path ? true : null;
  });
  await workbench.page.keyboard.press('Enter');
}

/** Exports the circuit of the panel in sight as EAP-IG JSON. */
async function exportGraph(frame: Frame, name: string): Promise<string> {
  await frame.getByRole('button', { name: 'Export' }).click();
  await frame.getByRole('menuitem', { name: 'EAP-IG JSON' }).click();
  const out = join(folder, name);
  await typePath(out);
  return await workbench.until('the exported file', async () =>
    existsSync(out) ? readFileSync(out, 'utf8') || null : null,
  );
}

/** Nodes and edges of a graph of EAP-IG that are in the circuit. */
function membersOf(graph: string): string[] {
  const { nodes, edges } = JSON.parse(graph);
  return Object.entries<{ in_graph: boolean }>({ ...nodes, ...edges }).flatMap(([name, part]) =>
    part.in_graph ? [name] : [],
  );
}

describe('a circuit file', () => {
  let frame: Frame;
  let before: number;

  step('opens as a drawing with its evidence', async () => {
    await workbench.openFile(file);
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

  step('takes a neuron by its name, and gives it back', async () => {
    await frame.locator('[data-box="L1.H1"]').focus();
    await workbench.page.keyboard.press('Insert');
    const input = workbench.page.locator('.quick-input-widget input[type="text"]');
    await workbench.page.locator('.quick-input-list .monaco-list-row').filter({ hasText: 'Type a Name' }).click();
    await input.fill('N1.3');
    await workbench.page.keyboard.press('Enter');
    const box = frame.locator('[data-box="N1.3"]');
    await box.waitFor();
    await titled(/^4 of 12 heads: faithfulness/);
    await box.focus();
    await workbench.page.keyboard.press('Delete');
    expect(faithfulness((await titled(/^3 of 12 heads: faithfulness [\d.]+/)).title)).toBe(before);
    expect(await box.count()).toBe(0);
    await workbench.runCommand('File: Revert File');
    await titled(/^3 of 12 heads: faithfulness/);
  });

  step('looks right and has no finding of axe in any theme', async () => {
    await workbench.runCommand('View: Toggle Primary Side Bar Visibility');
    expect(await axeInEveryTheme(workbench, frame, 'circuit')).toEqual(noFindings);
  });

  step('goes out as EAP-IG JSON and comes back as the same circuit', async () => {
    const text = await exportGraph(frame, again);
    expect(JSON.parse(text).nodes['a1.h1'].in_graph).toBe(true);
    await workbench.openFile(again);
    const { frame: imported } = await workbench.frameWith('text=This is a graph of EAP-IG');
    await imported.getByText('Make It a Circuit').click();
    const model = workbench.page.locator('.quick-input-list .monaco-list-row').filter({ hasText: /^acronyms/ });
    await model.first().click();
    await imported.getByText('Choose Data').click();
    await typePath(join(folder, 'acronyms.bundled.jsonl'));
    const { title } = await titled(/edges: faithfulness/);
    expect(faithfulness(title)).toBeGreaterThan(0.9);
    for (const name of ['L1.H1', 'L1.H3', 'L1.H2']) {
      expect(await imported.locator(`[data-box="${name}"]`).count()).toBe(1);
    }
    for (const theme of ['light', 'dark'] as const) {
      await workbench.useTheme(theme);
      await workbench.screenshot(theme, 'circuit imported');
    }
    // What goes out again is what came in.
    expect(membersOf(await exportGraph(imported, 'second.json'))).toEqual(membersOf(text));
  });
});
