import { strict as assert } from 'node:assert';
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterEach, before, beforeEach, describe, it } from 'mocha';
import * as vscode from 'vscode';
import type { AblateTarget, PatchTarget, PathPatchTarget } from '../../../src/shared/contributions.ts';
import { doneCount } from '../../../src/shared/gridCells.ts';
import type { GridDocument } from '../../../src/shared/gridDocument.ts';
import { gridFromJson, gridToJson } from '../../../src/shared/gridFile.ts';
import type { GridPanelState } from '../../../src/shared/gridPanelProtocol.ts';
import {
  closeEditors,
  extension,
  hoverOver,
  openFileWith,
  promptFile,
  replaceText,
  smallWorld,
  until,
} from './support.ts';

const prompt = 'The nurse said that';
const names = ['nurse', 'farmer', 'doctor', 'maid', 'soldier', 'teacher', 'king', 'queen', 'lawyer', 'waiter'];

let folder: string;

const openFile = (name: string, text: string) => openFileWith(join(folder, name), text);

type Panel = ReturnType<NonNullable<ReturnType<typeof extension>['exports']>['gridPanels']>[number];

function panels(): readonly Panel[] {
  return extension().exports.gridPanels();
}

/** The panel that was opened last, once its state is as wanted. */
function shown(what: string, wanted: (state: GridPanelState) => boolean): Promise<Panel> {
  return until(what, () => {
    const panel = panels().at(-1);
    return panel !== undefined && wanted(panel.model.state) && panel;
  });
}

const settled = ({ status }: GridPanelState): boolean =>
  status === 'ready' || status === 'partial' || status === 'error';

function documentOf(panel: Panel): GridDocument {
  const { document, error } = panel.model.state;
  assert.ok(document, error ?? 'there is no document');
  return document;
}

const heads = (uri: vscode.Uri): AblateTarget => ({
  uri: uri.toString(),
  prompt: 0,
  prompts: 'one',
  sites: 'heads',
  mode: 'zero',
  method: 'exact',
  metric: 'usual',
});

async function cli(...args: string[]): Promise<{ clean: number; values: number[][] }> {
  const path = join(extension().extensionPath, 'dist', 'cli.cjs');
  const { stdout } = await promisify(execFile)(process.execPath, [path, ...args, '--json'], { maxBuffer: 1e8 });
  return JSON.parse(stdout) as { clean: number; values: number[][] };
}

function assertClose(ours: readonly (readonly (number | null)[])[], theirs: readonly (readonly number[])[]): void {
  assert.equal(ours.length, theirs.length);
  ours.forEach((row, r) => {
    assert.equal(row.length, theirs[r]?.length);
    row.forEach((value, c) => {
      assert.ok(
        Math.abs((value ?? Number.NaN) - (theirs[r]?.[c] ?? 0)) < 1e-5,
        `${r}.${c}: ${value} ${theirs[r]?.[c]}`,
      );
    });
  });
}

/** Enough work to be interrupted: every neuron of a layer on many prompts of unlike words. */
function manyPrompts(): string {
  const all = names.flatMap((a) => names.map((b) => `The ${a} told the ${b} about the park and the shop, and that`));
  return promptFile(smallWorld, ...all);
}

const longSweep = (uri: vscode.Uri): AblateTarget => ({
  uri: uri.toString(),
  prompt: 0,
  prompts: 'all',
  sites: 'neurons',
  layer: 0,
  mode: 'zero',
  method: 'exact',
  metric: 'usual',
});

/** Milliseconds that this thread has been on a processor; the clock where the system does not say. */
function busyMilliseconds(): number {
  const file = '/proc/thread-self/schedstat';
  return existsSync(file) ? Number(readFileSync(file, 'utf8').split(' ', 1)[0]) / 1e6 : performance.now();
}

/** Measures the longest time, in milliseconds, for which this thread was busy between two turns of a timer. */
function measureTurns(): { end(): number } {
  let [longest, last] = [0, busyMilliseconds()];
  const tick = () => {
    const now = busyMilliseconds();
    longest = Math.max(longest, now - last);
    last = now;
  };
  const timer = setInterval(tick, 5);
  return {
    end: () => {
      tick();
      clearInterval(timer);
      return longest;
    },
  };
}

describe('heat-maps of sweeps', () => {
  before(() => extension().activate());
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'mechanist-grid-'));
  });
  afterEach(async () => {
    await closeEditors();
    await until('closed panels', () => panels().length === 0);
    rmSync(folder, { recursive: true, force: true });
  });

  it('ablates every head with the numbers of the command line', async () => {
    const { uri } = await openFile('a.prompt', promptFile(smallWorld, prompt));
    await vscode.commands.executeCommand('mechanist.ablate', heads(uri));
    const document = documentOf(await shown('a finished sweep', settled));
    const args = ['ablate', '--model', 'small-world', '--prompt', prompt, '--answer', ' she', '--foil', ' he'];
    const expected = await cli(...args, '--sites', 'heads', '--mode', 'zero');
    assert.ok(Math.abs(document.clean.mean - expected.clean) < 1e-5);
    assertClose(document.values, expected.values);
    assert.equal(document.complete, true);
  });

  it('saves a result beside its file, which opens as the same figure and can be compared with', async () => {
    const { uri } = await openFile('a.prompt', promptFile(smallWorld, prompt));
    await vscode.commands.executeCommand('mechanist.ablate', heads(uri));
    const panel = await shown('a finished sweep', settled);
    await panel.receive({ type: 'save' });
    assert.equal(panel.model.state.saved, 'a.ablate.heads.zero.mechanist.json');
    const file = vscode.Uri.joinPath(uri, '..', 'a.ablate.heads.zero.mechanist.json');
    await vscode.commands.executeCommand('vscode.open', file);
    const editor = await until('the result editor', () => panels().length === 2 && panels()[1]);
    const again = await shown('the document of the file', ({ document }) => document !== null);
    assert.equal(editor, again);
    assert.deepEqual(documentOf(again).values, documentOf(panel).values);
    assert.deepEqual([...documentOf(again).byItem.data], [...documentOf(panel).byItem.data]);
    const tab = vscode.window.tabGroups.activeTabGroup.activeTab?.input;
    assert.ok(tab instanceof vscode.TabInputCustom && tab.viewType === 'mechanist.result');
    // The same sweep replaces its own file; nothing is left beside it.
    await panel.receive({ type: 'save' });
    const entries = await vscode.workspace.fs.readDirectory(vscode.Uri.joinPath(uri, '..'));
    assert.deepEqual(entries.map(([name]) => name).sort(), ['a.ablate.heads.zero.mechanist.json', 'a.prompt']);
  });

  it('reads the attention of a selected head', async () => {
    const { uri } = await openFile('a.prompt', promptFile(smallWorld, prompt));
    await vscode.commands.executeCommand('mechanist.ablate', heads(uri));
    const panel = await shown('a finished sweep', settled);
    await panel.receive({ type: 'select', place: { row: 1, column: 2 }, item: 0 });
    const { head } = panel.model.state;
    assert.equal(head?.error, null);
    assert.equal(head?.detail?.layer, 1);
    assert.equal(head?.detail?.head, 2);
    const n = documentOf(panel).items[0]?.tokens.length ?? 0;
    assert.deepEqual(head?.detail?.pattern.dims, [n, n]);
  });

  it('keeps what is done on cancel, and Resume brings the numbers of an uninterrupted run', async () => {
    const { uri } = await openFile('many.prompt', manyPrompts());
    await vscode.commands.executeCommand('mechanist.ablate', longSweep(uri));
    const panel = await shown('the first cells', ({ document }) => document !== null && doneCount(document) > 0);
    await panel.receive({ type: 'cancel' });
    await until('the end of the run', () => panel.model.state.status !== 'running');
    assert.equal(panel.model.state.status, 'partial', 'the sweep was over before it could be cancelled');
    assert.equal(panel.model.state.error, null);
    const kept = documentOf(panel);
    const done = doneCount(kept);
    assert.ok(done > 0 && !kept.complete);
    assert.equal(panel.model.state.canResume, true);
    await panel.receive({ type: 'resume' });
    const resumed = documentOf(panel);
    assert.equal(panel.model.state.status, 'ready');
    assert.ok(resumed.complete);
    for (const [r, row] of kept.values.entries()) {
      for (const [c, value] of row.entries()) if (value !== null) assert.equal(resumed.values[r]?.[c], value);
    }
    await vscode.commands.executeCommand('mechanist.ablate', longSweep(uri));
    await until(
      'another whole run',
      () => panel.model.state.status === 'ready' && panel.model.state.document !== resumed,
    );
    assertClose(
      resumed.values,
      documentOf(panel).values.map((row) => row.map((value) => value ?? Number.NaN)),
    );
  });

  it('keeps what is done when the engine is killed, says so, and resumes', async () => {
    const { uri } = await openFile('many.prompt', manyPrompts());
    await vscode.commands.executeCommand('mechanist.ablate', longSweep(uri));
    const panel = await shown('the first cells', ({ document }) => document !== null && doneCount(document) > 0);
    const pid = extension().exports.enginePid();
    assert.ok(pid !== undefined);
    process.kill(pid, 'SIGKILL');
    await until('the end of the run', () => panel.model.state.status !== 'running');
    const { status, error, canResume } = panel.model.state;
    assert.equal(status, 'partial', 'the sweep was over before the engine could be killed');
    assert.match(error ?? '', /engine.*Resume/s);
    assert.ok(canResume);
    const done = doneCount(documentOf(panel));
    assert.ok(done > 0);
    await panel.receive({ type: 'resume' });
    assert.deepEqual([panel.model.state.status, panel.model.state.error], ['ready', null]);
  });

  it('leaves the extension host free while it sweeps', async function () {
    const { uri } = await openFile('many.prompt', manyPrompts());
    const worst: number[] = [];
    // The first run compiles; on a machine under load the best of a few is ours.
    for (let run = 0; run < 4; run++) {
      const turns = measureTurns();
      await vscode.commands.executeCommand('mechanist.ablate', longSweep(uri));
      const panel = await shown(
        'the first cells',
        ({ document, status }) => status === 'running' && document !== null && doneCount(document) > 0,
      );
      await pause(2500);
      await panel.receive({ type: 'cancel' });
      await until('the end of the run', () => panel.model.state.status !== 'running');
      const longest = turns.end();
      assert.equal(panel.model.state.status, 'partial', 'the sweep was over before it had been measured');
      worst.push(Math.round(longest));
      if (longest <= 50) break;
    }
    if (this.test) this.test.title += `: longest turn of its event loop ${Math.min(...worst)} ms`;
    assert.ok(Math.min(...worst) <= 50, `event loop was blocked for ${worst.join(', ')} ms`);
  });

  it('resumes a result that was saved unfinished', async () => {
    const { uri } = await openFile('a.prompt', promptFile(smallWorld, prompt));
    await vscode.commands.executeCommand('mechanist.ablate', heads(uri));
    const whole = documentOf(await shown('a finished sweep', settled));
    const values = whole.values.map((row, r) => row.map((value) => (r === 0 ? value : null)));
    const file = join(folder, 'part.mechanist.json');
    writeFileSync(file, gridToJson({ ...whole, values, complete: false }));
    await vscode.commands.executeCommand('vscode.open', vscode.Uri.file(file));
    const editor = await shown('the unfinished result', ({ status }) => status === 'partial');
    assert.equal(editor.model.state.canResume, true);
    await editor.receive({ type: 'resume' });
    assert.equal(editor.model.state.status, 'ready');
    assertClose(
      documentOf(editor).values,
      whole.values.map((row) => row.map((value) => value ?? Number.NaN)),
    );
    await editor.receive({ type: 'save' });
    assert.ok(editor.model.state.saved?.endsWith('.mechanist.json'));
  });

  it('patches by position with the numbers of the command line', async () => {
    const corrupted = 'The farmer said that';
    const { uri } = await openFile('p.prompt', promptFile(`${smallWorld}\ncorrupted: ${corrupted}`, prompt));
    const target: PatchTarget = {
      uri: uri.toString(),
      prompt: 0,
      site: 'resid_pre',
      direction: 'denoising',
      corrupted: 'front matter',
      method: 'exact',
      metric: 'usual',
    };
    await vscode.commands.executeCommand('mechanist.patch', target);
    const document = documentOf(await shown('a finished sweep', settled));
    const args = ['patch', '--model', 'small-world', '--clean', prompt, '--corrupted', corrupted];
    const expected = await cli(...args, '--answer', ' she', '--foil', ' he', '--site', 'resid_pre');
    assertClose(document.values, expected.values);
    assert.equal(document.axes.columns.name, 'position');
    // Law: the whole of the last position after the last layer's input is the clean run's answer.
    assert.ok(document.corrupted);
  });

  it('patches heads by position, and reads the attention of the row’s head', async () => {
    const corrupted = 'The farmer said that';
    const { uri } = await openFile('p.prompt', promptFile(`${smallWorld}\ncorrupted: ${corrupted}`, prompt));
    const target: PatchTarget = {
      uri: uri.toString(),
      prompt: 0,
      site: 'v',
      heads: { layer: 1 },
      direction: 'denoising',
      corrupted: 'front matter',
      method: 'exact',
      metric: 'usual',
    };
    await vscode.commands.executeCommand('mechanist.patch', target);
    const panel = await shown('a finished sweep', settled);
    const document = documentOf(panel);
    const args = ['patch', '--model', 'small-world', '--clean', prompt, '--corrupted', corrupted, '--site', 'v'];
    const places = ['--by-position', '--layer', '1'];
    const expected = await cli(...args, '--answer', ' she', '--foil', ' he', ...places);
    assertClose(document.values, expected.values);
    await vscode.commands.executeCommand('mechanist.patch', { ...target, site: 'z', heads: [{ layer: 1, head: 2 }] });
    const other = await shown(
      'a second panel',
      (state) => settled(state) && state.document?.request !== document.request,
    );
    await other.receive({ type: 'select', place: { row: 0, column: 1 }, item: 0 });
    const { head } = other.model.state;
    assert.deepEqual([head?.error, head?.detail?.layer, head?.detail?.head], [null, 1, 2]);
  });

  it('measures what was chosen: KL as a share, with the numbers of the command line', async () => {
    const corrupted = 'The farmer said that';
    const { uri } = await openFile('p.prompt', promptFile(`${smallWorld}\ncorrupted: ${corrupted}`, prompt));
    const target: PatchTarget = {
      uri: uri.toString(),
      prompt: 0,
      site: 'z',
      direction: 'denoising',
      corrupted: 'front matter',
      method: 'exact',
      metric: { kind: 'kl', normalize: 'denoising' },
    };
    await vscode.commands.executeCommand('mechanist.patch', target);
    const panel = await shown('a finished sweep', settled);
    const document = documentOf(panel);
    const args = ['patch', '--model', 'small-world', '--clean', prompt, '--corrupted', corrupted, '--site', 'z'];
    const metric = ['--metric', 'kl', '--normalize', 'denoising'];
    const expected = await cli(...args, '--answer', ' she', '--foil', ' he', ...metric);
    assertClose(document.values, expected.values);
    assert.equal(document.metric.unit, 'share of the effect');
    await panel.receive({ type: 'save' });
    assert.equal(panel.model.state.saved, 'p.patch.z.denoising.kl.share-restored.mechanist.json');
  });

  it('asks what is measured: one Enter is the usual', async () => {
    const { uri } = await openFile('a.prompt', promptFile(smallWorld, prompt));
    const { metric: _, ...target } = heads(uri);
    let over = false;
    void vscode.commands.executeCommand('mechanist.ablate', target).then(() => {
      over = true;
    });
    // Until the question is there the key does nothing.
    await until('an answer', async () => {
      await vscode.commands.executeCommand('workbench.action.acceptSelectedQuickOpenItem');
      return over;
    });
    const { request, metric } = documentOf(await shown('a finished sweep', settled));
    assert.equal(request.metric, undefined);
    assert.equal(metric.label, '␣she − ␣he');
  });

  it('screens: estimates everywhere, the largest run exactly', async () => {
    const { uri } = await openFile('a.prompt', promptFile(smallWorld, prompt));
    await vscode.commands.executeCommand('mechanist.ablate', { ...heads(uri), method: 'screened' });
    const document = documentOf(await shown('a finished sweep', settled));
    assert.equal(document.method, 'screened');
    assert.ok(document.complete);
    const exact = document.exact.flat().filter(Boolean).length;
    assert.ok(exact > 0 && exact <= 20, `${exact} cells are exact`);
  });

  it('patches the paths from every head', async () => {
    const { uri } = await openFile('p.prompt', promptFile(`${smallWorld}\ncorrupted: The farmer said that`, prompt));
    const target: PathPatchTarget = {
      uri: uri.toString(),
      prompt: 0,
      receivers: 'final',
      mlps: 'frozen',
      direction: 'denoising',
      corrupted: 'front matter',
      method: 'exact',
      metric: 'usual',
    };
    await vscode.commands.executeCommand('mechanist.patchPaths', target);
    const panel = await shown('a finished sweep', settled);
    const document = documentOf(panel);
    assert.equal(panel.model.state.error, null);
    assert.equal(document.analysis, 'path-patch');
    assert.deepEqual(document.axes.columns.name, 'head');
    assert.ok(document.complete);
  });

  it('says where prompts of unlike length part', async () => {
    const text = promptFile(`${smallWorld}\ncorrupted: The farmer said it and that`, prompt);
    const { uri } = await openFile('p.prompt', text);
    const target: PatchTarget = {
      uri: uri.toString(),
      prompt: 0,
      site: 'resid_pre',
      direction: 'denoising',
      corrupted: 'front matter',
      method: 'exact',
      metric: 'usual',
    };
    await vscode.commands.executeCommand('mechanist.patch', target);
    const panel = await shown('a refusal', ({ status }) => status === 'error');
    assert.match(panel.model.state.error ?? '', /part/);
  });

  it('is stale while the file asks something else, and not after the edit is taken back', async () => {
    const document = await openFile('a.prompt', promptFile(smallWorld, prompt));
    await vscode.commands.executeCommand('mechanist.ablate', heads(document.uri));
    const panel = await shown('a finished sweep', settled);
    await replaceText(document, 'nurse', 'doctor');
    await until('stale', () => panel.model.state.stale);
    await replaceText(document, 'doctor', 'nurse');
    await until('not stale', () => !panel.model.state.stale);
    await replaceText(document, 'nurse', 'doctor');
    await until('stale again', () => panel.model.state.stale);
    await panel.receive({ type: 'runAgain' });
    assert.equal(panel.model.state.stale, false);
    assert.equal(documentOf(panel).items[0]?.prompt, 'The doctor said that');
    await vscode.commands.executeCommand('workbench.action.files.save');
  });

  it('says in words what is wrong with a file that is no result', async () => {
    const wrong: readonly (readonly [string, RegExp])[] = [
      ['{"schemaVersion": 2, "kind": "grid"}', /newer Mechanist.*Update/],
      ['{"schemaVersion": 1, "kind": "trace"}', /kind is "trace"/],
      ['half a file', /not JSON/],
      ['[]', /does not hold an object/],
    ];
    for (const [i, [text, why]] of wrong.entries()) {
      const file = join(folder, `wrong${i}.mechanist.json`);
      writeFileSync(file, text);
      await vscode.commands.executeCommand('vscode.open', vscode.Uri.file(file));
      const error = await until(text, () => {
        const state = extension().exports.figuresPanels().at(-1)?.state;
        return state?.title === `wrong${i}.mechanist.json` && state.error;
      });
      assert.match(error, why);
    }
    assert.throws(() => gridFromJson('{}'), /schemaVersion/);
  });

  it('is reached from a hover, with the heads of the card marked', async () => {
    const document = await openFile('a.prompt', promptFile(smallWorld, prompt));
    const card = await until('a hover', async () => {
      const text = await hoverOver(document, 'nurse');
      return text.includes('Ablate These Heads') && text;
    });
    const link = /command:mechanist\.ablate\?([^")]+)/.exec(card)?.[1] ?? '';
    const [target] = JSON.parse(decodeURIComponent(link)) as [AblateTarget];
    await vscode.commands.executeCommand('mechanist.ablate', target);
    const panel = await shown('a finished sweep', settled);
    assert.deepEqual(panel.model.state.marked, target.heads);
    assert.ok((target.heads?.length ?? 0) > 0);
  });
});
