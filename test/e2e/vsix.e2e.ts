// The packed extension, installed into a fresh VS Code with no model but the bundled one.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { type RunningServer, startServer } from '../../tools/vscode-host/host.mjs';
import { type TraceOutput, traceByCommandLine } from './commandLine.ts';
import { isRounded, marked } from './numbers.ts';
import { engineProcesses } from './processes.ts';
import { stepsOf } from './step.ts';
import { TracePanel } from './tracePanel.ts';
import { classicWindow, Workbench } from './workbench.ts';

const line = 'The secretary said that';
const base = mkdtempSync(join(tmpdir(), 'mechanist-vsix-'));
const folder = join(base, 'examples');
const vsix = resolve('test-results', 'mechanist.vsix');
/** An empty cache: nothing was ever downloaded. The hub is an address where nobody answers. */
const env = { MECHANIST_CACHE: join(base, 'cache'), HF_ENDPOINT: 'http://127.0.0.1:9' };

let server: RunningServer;
let workbench: Workbench;
let expected: TraceOutput;

beforeAll(async () => {
  cpSync('examples', folder, { recursive: true });
  execFileSync(process.execPath, ['scripts/package.mjs', '--out', vsix], { stdio: 'inherit', timeout: 300_000 });
  server = await startServer({ folder, extension: { vsix }, settings: classicWindow, env });
  const extensions = join(server.data, 'extensions');
  const installed = readdirSync(extensions).find((name) => name.startsWith('mechanist.mechanist-'));
  if (!installed) throw new Error('VS Code installed no extension.');
  const question = { prompt: line, model: 'small-world', observable: { ' she': 1, ' he': -1 } };
  // The packed command line: it must find the packed model and the packed native library.
  expected = traceByCommandLine(join(extensions, installed, 'dist', 'cli.cjs'), question, env);
  workbench = await Workbench.open(server.url);
});

afterAll(async () => {
  await workbench?.close();
  await server?.stop();
  rmSync(base, { recursive: true, force: true, maxRetries: 3 });
});

const step = stepsOf('vsix', () => ({ workbench, server }));

describe('the packed extension without the real model', () => {
  step('stands in with the bundled model and offers the download', async () => {
    await workbench.openFile('pronouns.prompt');
    const row = await workbench.lensWith(/logits/);
    expect(row).toMatch(/^small-world F32 instead of smollm2-135m/);
    expect(row).toMatch(/Download smollm2-135m, 98 MB/);
  });

  step('tints, hints and explains', async () => {
    const [first] = expected.top;
    const largest = expected.attributions.reduce((a, b) => (Math.abs(b.value) > Math.abs(a.value) ? b : a));
    const word = expected.tokens[largest.pos].text.trim();
    await workbench.tintOf(line, word);
    await workbench.until('an inlay hint', async () =>
      (await workbench.lines()).find((text) => text.startsWith(line) && text.includes(`next ${marked(first.text)}`)),
    );
    const card = await workbench.hover(line, word, /Logit lens/);
    expect(card).toContain(`#${expected.provenance.hash}`);
    expect(isRounded(/([+−][\d.]+) logits/.exec(card)?.[1] ?? '', largest.value)).toBe(true);
    await workbench.screenshot('dark', 'bundled-model');
  });

  step('opens the trace panel with the numbers of the packed command line', async () => {
    await workbench.click(line, 'said');
    await workbench.runCommand('Mechanist: Trace Prompt');
    const panel = await TracePanel.of(workbench);
    expect(isRounded(/= ([+−][\d.]+) logits/.exec(await panel.title())?.[1] ?? '', expected.observable.value)).toBe(
      true,
    );
    const tokens = await panel.tokens();
    expect(tokens).toHaveLength(expected.tokens.length);
    for (const [i, { value }] of tokens.entries())
      expect(isRounded(value, expected.attributions[i].value), `${value} ${expected.attributions[i].value}`).toBe(true);
  });

  step('tells at the word what is wrong in the front matter, and recovers', async () => {
    await workbench.focusFirstGroup();
    await workbench.click('model: smollm2', 'model');
    await workbench.page.keyboard.press('Home');
    await workbench.page.keyboard.type('x');
    await workbench.page.waitForSelector('.squiggly-error, .squiggly-warning', { timeout: 60_000 });
    await workbench.page.keyboard.press('Backspace');
    await workbench.page.waitForSelector('.squiggly-error, .squiggly-warning', { state: 'detached', timeout: 60_000 });
  });

  step('survives a kill of the engine: told once, next hover answered', async () => {
    await workbench.runCommand('Notifications: Clear All Notifications');
    const [engine] = engineProcesses(server.pid);
    process.kill(engine, 'SIGKILL');
    await workbench.until('a notification', async () => ((await workbench.notifications()).length > 0 ? true : null));
    const card = await workbench.hover('The maid said that', 'maid', /Logit lens/);
    expect(card).toContain('␣maid');
    const told = await workbench.notifications();
    expect(told).toHaveLength(1);
    expect(told[0]).not.toMatch(/\bat .*\(.*:\d+:\d+\)|Error:/);
  });

  step('writes no error to the log of the extension host', async () => {
    expect(server.errorLines().filter((logged) => /mechanist/i.test(logged))).toEqual([]);
  });
});
