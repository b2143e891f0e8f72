import { strict as assert } from 'node:assert';
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, before, beforeEach, describe, it } from 'mocha';
import * as vscode from 'vscode';
import type { ExperimentTarget } from '../../../src/shared/contributions.ts';
import type { FiguresDocument } from '../../../src/shared/figures.ts';
import {
  behind,
  closeEditors,
  completions,
  diagnostic,
  diagnostics,
  extension,
  hoverOver,
  lensTitles,
  openFileWith,
  quickFixes,
  replaceText,
  until,
} from './support.ts';

let folder: string;

const row = (id: number, word: string, other: string) =>
  `${JSON.stringify({
    id: String(id),
    clean: `The ${word} said that`,
    corrupted: `The ${other} said that`,
    roles: { JOB: 1, END: -1 },
    answers: [{ token: ' she', foils: [' he'] }],
  })}\n`;
const jobs = ['nurse', 'maid', 'teacher', 'doctor'];

/** An experiment on `rows` prompts; enough of them can be interrupted. */
async function openExperiment(text: string, rows = 4): Promise<vscode.TextDocument> {
  const lines = Array.from({ length: rows }, (_, i) => row(i, jobs[i % jobs.length] ?? '', 'farmer'));
  writeFileSync(join(folder, 'jobs.jsonl'), lines.join(''));
  return await openFileWith(join(folder, 'x.experiment.yaml'), text);
}

const head = 'model: small-world\ndata: jobs.jsonl\n';
const one = `${head}steps:\n  - baseline\n`;
const two = `${one}  - name: residual\n    run: patch-residual\n    with: { corruption: corrupted }\n`;

function figures(step: string, results = 'x.results'): FiguresDocument {
  return JSON.parse(readFileSync(join(folder, results, `${step}.mechanist.json`), 'utf8')) as FiguresDocument;
}

async function lens(document: vscode.TextDocument, title: RegExp, nth = 0): Promise<vscode.CodeLens> {
  return await until(`a lens ${title}`, async () => {
    const all = await vscode.commands.executeCommand<vscode.CodeLens[]>(
      'vscode.executeCodeLensProvider',
      document.uri,
      500,
    );
    return all.filter(({ command }) => title.test((command?.title ?? '').replaceAll('\u00a0', ' ')))[nth];
  });
}

/** Presses a lens, as a click does. */
async function press(document: vscode.TextDocument, title: RegExp, nth = 0): Promise<void> {
  const { command } = await lens(document, title, nth);
  assert.ok(command);
  await vscode.commands.executeCommand(command.command, ...(command.arguments ?? []));
}

describe('experiment files', () => {
  before(() => extension().activate());
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'mechanist-experiment-'));
  });
  afterEach(async () => {
    await closeEditors();
    rmSync(folder, { recursive: true, force: true });
  });

  it('keep the language yaml, and run by their lens with the numbers of the command line', async () => {
    const document = await openExperiment(two);
    assert.equal(document.languageId, 'yaml');
    await until('the rows', async () => (await lensTitles(document)).length === 3);
    assert.deepEqual(await lensTitles(document), ['$(play) Run', '$(play) Run Step', '$(play) Run Step']);
    await press(document, /Run$/);
    const ours = [figures('baseline'), figures('residual')];
    assert.ok(ours.every(({ complete }) => complete));
    await lens(document, /^done just now$/, 1);
    await lens(document, /Run Again/);
    const cli = join(extension().extensionPath, 'dist', 'cli.cjs');
    const args = [cli, 'run', join(folder, 'x.experiment.yaml'), '--out', join(folder, 'cli'), '--json'];
    await promisify(execFile)(process.execPath, args, { maxBuffer: 1e8 });
    for (const [i, step] of ['baseline', 'residual'].entries()) {
      const theirs = figures(step, 'cli');
      for (const [name, value] of Object.entries(theirs.values)) {
        assert.ok(Math.abs((ours[i]?.values[name] ?? Number.NaN) - value) < 1e-4, `${step} ${name}`);
      }
      assert.equal(ours[i]?.provenance.hash, theirs.provenance.hash);
    }
  });

  it('run one step, open its result, and are stale after an edit until it is taken back', async () => {
    const document = await openExperiment(two);
    await press(document, /Run Step/, 0);
    assert.ok(!existsSync(join(folder, 'x.results/residual.mechanist.json')));
    await press(document, /Open Result$/);
    const input = vscode.window.tabGroups.activeTabGroup.activeTab?.input;
    assert.ok(input instanceof vscode.TabInputCustom && input.uri.path.endsWith('baseline.mechanist.json'));
    await replaceText(document, 'data: jobs.jsonl', 'data: { file: jobs.jsonl, rows: 2 }');
    await lens(document, /stale: file changed/);
    await replaceText(document, 'data: { file: jobs.jsonl, rows: 2 }', 'data: jobs.jsonl');
    await lens(document, /^done /);
    await document.save();
  });

  it('keep what is done on cancel, say so, and go on from there', async () => {
    const document = await openExperiment(one, 3000);
    const running = press(document, /Run$/);
    await lens(document, /\d+ of 376 cells/);
    await until('the first cells', async () =>
      (await lensTitles(document)).some((title) => /[1-9]\d* of 376/.test(title)),
    );
    await press(document, /Cancel/);
    await running;
    const done = figures('baseline').cells.done;
    assert.ok(done > 0 && done < 376, `${done} cells are done: too many or none to cancel`);
    await lens(document, new RegExp(`^${done} of 376 cells$`));
    await press(document, /Resume/);
    const whole = figures('baseline');
    assert.deepEqual([whole.complete, whole.cells.done], [true, 376]);
    const parts = readFileSync(join(folder, 'x.results/parts/baseline.jsonl'), 'utf8').trim().split('\n');
    assert.equal(parts.length, 376, 'no cell was run twice');
  });

  it('lose no finished cell when the engine is killed', async () => {
    const document = await openExperiment(one, 3000);
    const running = press(document, /Run$/);
    await until('the first cells', async () =>
      (await lensTitles(document)).some((title) => /[1-9]\d* of 376/.test(title)),
    );
    const pid = extension().exports.enginePid();
    assert.ok(pid !== undefined);
    process.kill(pid, 'SIGKILL');
    await running;
    const kept = readFileSync(join(folder, 'x.results/parts/baseline.jsonl'), 'utf8').trim().split('\n').length;
    assert.ok(kept > 0 && kept < 376);
    await press(document, /Resume|Run$/);
    assert.ok(figures('baseline').complete);
  });

  it('underline mistakes at the word, with the fix', async () => {
    const document = await openExperiment(`${head}steps:\n  - run: basline\n`);
    const found = await diagnostic(document, 'unknown-kind');
    assert.equal(document.getText(found.range), 'basline');
    const [fix] = await quickFixes(document, found.range);
    assert.ok(fix?.edit);
    await vscode.workspace.applyEdit(fix.edit);
    await until('no mistake', () => diagnostics(document).length === 0);
    await replaceText(document, 'small-world', 'small-wrld');
    const model = await diagnostic(document, 'unknown-model');
    assert.match(model.message, /Did you mean small-world/);
    await document.save();
  });

  it('underline expected numbers that have moved, with both numbers, and hint at those that hold', async () => {
    const expecting =
      'expect:\n  - baseline accuracy.clean.all: 0 … 1 (always)\n  - baseline clean.all: 90 ± 1 (nobody)\n';
    const document = await openExperiment(`${one}${expecting}`);
    await press(document, /Run$/);
    const moved = await diagnostic(document, 'expectation');
    assert.equal(document.getText(moved.range), 'baseline clean.all: 90 ± 1 (nobody)');
    assert.match(moved.message, /^This is [+−]\d.*, expected \+89\.0 … \+91\.0 \(nobody\)\.$/);
    const range = new vscode.Range(0, 0, document.lineCount, 0);
    const hints = await vscode.commands.executeCommand<vscode.InlayHint[]>(
      'vscode.executeInlayHintProvider',
      document.uri,
      range,
    );
    const labels = hints.map(({ label }) =>
      typeof label === 'string' ? label : label.map(({ value }) => value).join(''),
    );
    assert.ok(
      labels.some((label) => /^✓ \+?[01]/.test(label)),
      labels.join(),
    );
    await lens(document, /1 of 2 numbers as expected/);
    const value = figures('baseline').values['clean.all'] ?? 0;
    await replaceText(document, '90 ± 1 (nobody)', `${value.toFixed(3)} ± 0.01`);
    await until('no squiggle', () => diagnostics(document).length === 0);
    await document.save();
  });

  it('complete keys, analyses, parameters, models and the names of the data, and explain them', async () => {
    const document = await openExperiment(two);
    const has = async (after: string, ...wanted: string[]) => {
      const found = await until(`completion after ${after}`, async () => {
        const all = [...(await completions(document, behind(document, after))).keys()];
        return all.includes(wanted[0] ?? '') && all;
      });
      for (const word of wanted) assert.ok(found.includes(word), `${word} in ${found.join(', ')}`);
    };
    await has('model: ', 'small-world', 'smollm2-135m');
    await has('run: ', 'patch-residual', 'baseline');
    await has('with: { ', 'corruption', 'direction', 'metric');
    await has('corruption: ', 'corrupted');
    await has('data: ', 'jobs.jsonl');
    assert.match(await hoverOver(document, 'patch-residual'), /Patches the residual stream/);
    assert.match(await hoverOver(document, 'corruption'), /Corruption of the data/);
    await press(document, /Run Step/, 0);
    await replaceText(document, 'steps:', 'expect:\n  - b\nsteps:');
    await has('expect:\n  - b', 'baseline clean.all');
    await document.save();
  });

  it('say in one sentence why they cannot be run', async () => {
    const document = await openExperiment(`${head}steps:\n  - { run: patch-residual, with: { corruption: cur } }\n`);
    const target: ExperimentTarget = { uri: document.uri.toString() };
    await vscode.commands.executeCommand('mechanist.runExperiment', target);
    await lens(document, /^\$\(error\) .*cur/);
    const refused = await diagnostic(document, 'step-failed');
    assert.match(refused.message, /cur/);
    await replaceText(document, 'corruption: cur', 'corruption: corrupted');
    await until('no mistake', () => diagnostics(document).length === 0);
    await document.save();
  });
});
