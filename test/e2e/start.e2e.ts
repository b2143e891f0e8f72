// `npm start` itself, on the real model, used as a person uses it.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasModel, type TraceOutput, traceByCommandLine } from './commandLine.ts';
import { axeInEveryTheme, noFindings } from './everyTheme.ts';
import { isRounded, marked } from './numbers.ts';
import { engineProcesses, type StartedProgram, startProgram } from './processes.ts';
import { TracePanel } from './tracePanel.ts';
import { classicWindow, Workbench } from './workbench.ts';

const cli = join('dist', 'cli.cjs');
const line = 'After the long shift, the nurse said that';
const observable = { ' she': 1, ' he': -1 };
const model = 'smollm2-135m';

let program: StartedProgram;
let workbench: Workbench;
let data: string;
let real: boolean;
let expected: TraceOutput;
let examplesBefore: string;

const gitStatus = () => execFileSync('git', ['status', '--porcelain', '--', 'examples'], { encoding: 'utf8' });

beforeAll(async () => {
  examplesBefore = gitStatus();
  data = mkdtempSync(join(tmpdir(), 'mechanist-start-'));
  mkdirSync(join(data, 'data', 'User'), { recursive: true });
  writeFileSync(join(data, 'data', 'User', 'settings.json'), JSON.stringify(classicWindow));
  program = startProgram('npm', ['start', '--', '--no-open', '--data', data], process.env);
  const url = await program.line(/^http:\/\/127\.0\.0\.1:\d+\/\?\S+$/, 840_000);
  real = hasModel(cli, model);
  if (real) expected = traceByCommandLine(cli, { prompt: line, model, observable });
  workbench = await Workbench.open(url);
  await workbench.openFile('pronouns.prompt');
});

afterAll(async () => {
  await workbench?.close();
  await program?.stop();
  rmSync(data, { recursive: true, force: true, maxRetries: 3 });
});

/** The prompt file as it is on disk, with the cursor behind the prompt of a line. */
async function freshPrompt(lineNumber: number): Promise<void> {
  await workbench.focusFirstGroup();
  await workbench.runCommand('File: Revert File');
  await workbench.toEndOfLine(lineNumber);
}

describe('npm start', () => {
  it('says so in one line when the real model cannot be fetched, and starts all the same', () => {
    const said = program.output().match(/could not be fetched; going on with the bundled model/g)?.length ?? 0;
    expect(said).toBe(real ? 0 : 1);
  });
});

/** Everything below reads numbers of the real model. */
function onRealModel(name: string, test: () => Promise<void>): void {
  it(`${name} (smollm2-135m)`, async (context) => {
    if (!real) context.skip('model not available');
    await test().catch(async (error) => {
      await workbench.screenshot('dark', `failed ${name.replaceAll(/[^\w ]/g, '')}`);
      throw error;
    });
  });
}

describe('prompt file', () => {
  onRealModel('tints the tokens, blue for what adds to the observable and orange for what takes away', async () => {
    const blue = /^rgba\(59, 151, 245, /;
    const orange = /^rgba\(232, 138, 36, /;
    const tinted = expected.tokens.map(({ text }, i) => ({ text: text.trim(), value: expected.attributions[i].value }));
    const largest = [...tinted].sort((a, b) => Math.abs(b.value) - Math.abs(a.value)).slice(0, 3);
    for (const { text, value } of largest)
      expect(await workbench.tintOf(line, text), text).toMatch(value > 0 ? blue : orange);
  });

  onRealModel('hints at the next token', async () => {
    const [first, second] = expected.top;
    const hint = await workbench.until('an inlay hint', async () => {
      const row = (await workbench.lines()).find((text) => text.startsWith(line));
      return row?.includes('next ') ? row : null;
    });
    const found = /next (\S+) (\.\d+) {2}(\S+) (\.\d+)/.exec(hint);
    expect([found?.[1], found?.[3]]).toEqual([marked(first.text), marked(second.text)]);
    expect(isRounded(found?.[2] ?? '', Math.exp(first.logprob))).toBe(true);
    expect(isRounded(found?.[4] ?? '', Math.exp(second.logprob))).toBe(true);
  });

  onRealModel('says model and observable over each prompt', async () => {
    await workbench.lensWith(/logits/);
    const rows = await workbench.until('seven finished CodeLens rows', async () => {
      const all = (await workbench.codeLenses()).filter((row) => /logits/.test(row));
      return all.length === 7 ? all : null;
    });
    for (const row of rows) expect(row).toMatch(/^smollm2-135m Q4_1/);
    const row = rows[4];
    expect(row).toMatch(/Trace.*Change Observable.*Change Method/);
    expect(isRounded(/= ([+−][\d.]+) logits/.exec(row)?.[1] ?? '', expected.observable.value)).toBe(true);
  });

  onRealModel('shows the legend and the model in the status bar', async () => {
    const items = (await workbench.statusBar()).join(' ');
    expect(items).toMatch(/␣he −\d/);
    expect(items).toMatch(/\+\d\S* ␣she logits/);
    expect(items.match(/■/g)).toHaveLength(6);
    expect(items).toContain('smollm2-135m Q4_1');
  });

  onRealModel('explains a token on hover', async () => {
    const at = expected.tokens.findIndex(({ text }) => text === ' nurse');
    for (const theme of ['light', 'dark'] as const) {
      await workbench.useTheme(theme);
      const card = await workbench.hover(line, 'nurse', /Logit lens[\s\S]*Open Trace at This Token/);
      expect(card).toContain('␣nurse');
      expect(card).toMatch(new RegExp(`token id\\s+${expected.tokens[at].id}`));
      expect(card).toMatch(/position\s+7 of 9/);
      expect(isRounded(/([+−][\d.]+) logits/.exec(card)?.[1] ?? '', expected.attributions[at].value)).toBe(true);
      expect(card).toMatch(/Carried by/);
      expect(card).toMatch(/L\d+\.H\d+/);
      expect(card).toContain(`#${expected.provenance.hash}`);
      await workbench.screenshot(theme, 'editor');
      await workbench.page.mouse.move(900, 840);
    }
  });
});

describe('trace panel', () => {
  onRealModel('opens from the palette with the numbers of the command line', async () => {
    await workbench.click(line, 'long');
    await workbench.runCommand('Mechanist: Trace Prompt');
    const panel = await TracePanel.of(workbench);
    expect(isRounded(/= ([+−][\d.]+) logits/.exec(await panel.title())?.[1] ?? '', expected.observable.value)).toBe(
      true,
    );
    expect(await panel.subtitle()).toContain(`#${expected.provenance.hash}`);
    const tokens = await panel.tokens();
    expect(tokens).toHaveLength(expected.tokens.length);
    for (const [i, { value }] of tokens.entries())
      expect(isRounded(value, expected.attributions[i].value), `${value} ${expected.attributions[i].value}`).toBe(true);
  });

  onRealModel('shares the selected token with the editor, both ways', async () => {
    const panel = await TracePanel.of(workbench);
    await panel.clickToken(7);
    await workbench.selected(line, 'nurse');
    await workbench.click(line, 'shift');
    await workbench.until('the token selected in the panel', async () => {
      const selected = (await panel.tokens()).findIndex((token) => token.selected);
      return selected === 3 ? true : null;
    });
  });

  onRealModel('looks right and has no finding of axe in any theme', async () => {
    await workbench.runCommand('View: Toggle Primary Side Bar Visibility');
    await workbench.dragEditorBorder(480);
    const panel = await TracePanel.of(workbench);
    await panel.clickToken(7);
    expect(await axeInEveryTheme(workbench, panel.frame, 'trace')).toEqual(noFindings);
  });

  onRealModel('follows an edit of the prompt', async () => {
    const panel = await TracePanel.of(workbench);
    const before = await panel.title();
    await freshPrompt(15);
    await workbench.page.keyboard.type(' evening');
    const edited = traceByCommandLine(cli, { prompt: `${line} evening`, model, observable });
    const title = await panel.titleAfter(before);
    expect(isRounded(/= ([+−][\d.]+) logits/.exec(title)?.[1] ?? '', edited.observable.value)).toBe(true);
    await TracePanel.of(workbench);
    const tokens = await panel.tokens();
    for (const [i, { value }] of edited.attributions.entries()) expect(isRounded(tokens[i].value, value)).toBe(true);
    await workbench.focusFirstGroup();
    await workbench.runCommand('File: Revert File');
    await panel.titleAfter(title);
  });

  onRealModel('cancels a long run and answers the next question at once', async () => {
    const panel = await TracePanel.of(workbench);
    await freshPrompt(15);
    const long = ' and the doctor said that'.repeat(60);
    await workbench.page.keyboard.insertText(long);
    await workbench.until('the long prompt in the panel', async () => {
      const label = await panel.frame.locator('[role="option"]').first().getAttribute('aria-label');
      return label?.includes('of 309') ? true : null;
    });
    await panel.frame.getByRole('radio', { name: 'Occlusion' }).check({ force: true });
    await panel.frame.getByRole('button', { name: 'Cancel' }).click({ timeout: 60_000 });
    await panel.frame.locator('main:not([data-status="loading"])').waitFor({ timeout: 20_000 });
    const asked = Date.now();
    await workbench.hover('The soldier said', 'soldier', /Logit lens/, 60_000);
    expect(Date.now() - asked).toBeLessThan(30_000);
    await freshPrompt(17);
  });
});

describe('a killed engine', () => {
  onRealModel('is told once and does not stop the next hover', async () => {
    await workbench.runCommand('Notifications: Clear All Notifications');
    const [engine] = await workbench.until('the engine process', async () => {
      const found = engineProcesses(program.pid);
      return found.length > 0 ? found : null;
    });
    await freshPrompt(7);
    await workbench.page.keyboard.type(' it');
    await workbench.page.waitForTimeout(350);
    process.kill(engine, 'SIGKILL');
    await workbench.until('a notification', async () => ((await workbench.notifications()).length > 0 ? true : null));
    const card = await workbench.hover('The maid said', 'maid', /Logit lens/);
    expect(card).toContain('␣maid');
    expect(engineProcesses(program.pid)).not.toContain(engine);
    const told = await workbench.notifications();
    expect(told).toHaveLength(1);
    expect(told[0]).not.toMatch(/\bat .*\(.*:\d+:\d+\)|Error:/);
    await freshPrompt(7);
  });
});

describe('the end', () => {
  it('has left the example files as they were', () => {
    expect(gitStatus()).toBe(examplesBefore);
  });

  it('stops with Ctrl+C and leaves nothing behind', async () => {
    await program.interrupt();
    await new Promise((done) => setTimeout(done, 4000));
    const left = execFileSync('ps', ['-eo', 'args='], { encoding: 'utf8' })
      .split('\n')
      .filter((command) => command.includes(data));
    expect(left).toEqual([]);
    expect(engineProcesses(program.pid)).toEqual([]);
  });
});
