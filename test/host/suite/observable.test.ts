import { strict as assert } from 'node:assert';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, before, beforeEach, describe, it } from 'mocha';
import * as vscode from 'vscode';
import type { StudyTarget } from '../../../src/shared/contributions.ts';
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
  observableText,
  openFileWith,
  openPrompt,
  promptFile,
  quickFixes,
  replaceText,
  smallWorld,
  until,
} from './support.ts';

const answer = [{ name: 'answer', pos: -1, token: ' she', foils: [' he'] }];

/** Every analysis that a study offers. */
const everyStudy = [
  ...['baseline', 'heads-map', 'find-paths', 'patch-residual', 'feature', 'couple-features', 'top-tokens'],
  ...['steer-feature', 'debias', 'feature-baselines'],
];

const settings = () => vscode.workspace.getConfiguration('mechanist');
const name = async (value: object | undefined) =>
  await settings().update('observables', value, vscode.ConfigurationTarget.Global);

async function offers(document: vscode.TextDocument, after: string, label: string): Promise<string> {
  return await until(`${label} after ${after}`, async () =>
    (await completions(document, behind(document, after))).get(label),
  );
}

describe('observables', () => {
  before(() => extension().activate());
  afterEach(async () => {
    await closeEditors();
    await name(undefined);
  });

  it('have names in the settings, which a prompt file takes and follows', async () => {
    await name({ gender: { ' she': 1, ' he': -1 } });
    const document = await openPrompt(promptFile('model: small-world\nobservable: gender', 'The nurse said that'));
    const before = await observableText(document);
    assert.match(before, /^␣she − ␣he = /);
    assert.deepEqual(diagnostics(document), []);
    assert.match(await hoverOver(document, 'gender'), /\{ " she": 1, " he": -1 \}/);
    await name({ gender: { ' he': 1, ' she': -1 } });
    await until('the other sign', async () => {
      const now = (await lensTitles(document)).find((title) => /^␣he − ␣she = /.test(title));
      return now !== undefined;
    });
  });

  it('that are misspelt are underlined, with the name that was meant', async () => {
    await name({ gender: { ' she': 1, ' he': -1 } });
    const document = await openPrompt(promptFile('model: small-world\nobservable: gendre', 'The nurse said that'));
    const wrong = await diagnostic(document, 'unknown-observable');
    assert.equal(document.getText(wrong.range), 'gendre');
    const [fix] = await quickFixes(document, wrong.range);
    assert.ok(fix?.edit);
    await vscode.workspace.applyEdit(fix.edit);
    await until('no mistake', () => diagnostics(document).length === 0);
    await observableText(document);
  });

  it('change the tint as soon as they are changed', async () => {
    const document = await openPrompt(promptFile(smallWorld, 'The nurse said that'));
    const first = await observableText(document);
    const values = () =>
      extension()
        .exports.promptTints(document)
        ?.shown.flatMap(({ tokens }) => tokens.map(({ value }) => value)) ?? [];
    const before = values();
    assert.ok(before.length > 3);
    await replaceText(document, '{ " she": 1, " he": -1 }', '{ " he": 1, " she": -1 }');
    await until('another value', async () => (await observableText(document)) !== first);
    const now = await until('other tints', () => {
      const found = values();
      return found.length === before.length && found.every((v, i) => v !== before[i]) && found;
    });
    now.forEach((value, i) => {
      assert.ok(Math.abs(value + (before[i] ?? Number.NaN)) < 1e-5, `token ${i}: ${value} and ${before[i]}`);
    });
  });

  it('offer the tokens of the model while they are written', async () => {
    const document = await openPrompt(promptFile('model: small-world\nobservable: { "sh', 'The nurse said that'));
    assert.equal(await offers(document, '{ "sh', '␣she'), '" she": 1');
    await replaceText(document, '"sh', '" she": 1, " h": -1 }');
    assert.equal(await offers(document, '1, " h', '␣he'), '" he"');
    await name({ gender: { ' she': 1, ' he': -1 } });
    await replaceText(document, '{ " she": 1, " h": -1 }', 'g');
    assert.equal(await offers(document, 'observable: g', 'gender'), 'gender');
  });
});

describe('observable propagation', () => {
  before(() => extension().activate());
  afterEach(closeEditors);

  it('tints by a node that is completed, and says which; another node, another tint', async () => {
    const method = `${smallWorld}\nmethod: observable-propagation\nview: contribution\nnode: L1.H0 <= `;
    const document = await openPrompt(promptFile(method, 'The nurse said that'));
    await diagnostic(document, 'bad-path');
    await offers(document, 'node: L1.H0 <= ', 'L0.H2');
    const tints = () =>
      extension()
        .exports.promptTints(document)
        ?.shown.flatMap(({ tokens }) => tokens.map(({ value }) => value)) ?? [];
    const tintsOf = (node: RegExp) =>
      until(`the row of ${node}`, async () => {
        const titles = await lensTitles(document);
        return titles.some((title) => node.test(title)) && tints().length > 3 && [...tints()];
      });
    await replaceText(document, 'node: L1.H0 <= ', 'node: L1.H0');
    const first = await tintsOf(/^contribution at L1\.H0@\d, norm scales frozen$/);
    assert.match(await hoverOver(document, 'nurse'), /score x·y .*attention .*A·x·y /);
    await replaceText(document, 'node: L1.H0', 'node: L0.H2');
    const second = await tintsOf(/^contribution at L0\.H2@\d, norm scales frozen$/);
    assert.notDeepEqual(second, first);
  });
});

describe('observables of experiments', () => {
  let folder: string;
  before(() => extension().activate());
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'mechanist-observable-'));
  });
  afterEach(async () => {
    await closeEditors();
    await name(undefined);
    rmSync(folder, { recursive: true, force: true });
  });

  const openFile = (file: string, text: string) => openFileWith(join(folder, file), text);

  it('are checked and completed in the tokens of the model', async () => {
    const text =
      'model: small-world\ndata: d.jsonl\nobservables:\n  gender: { nurse: 1, " he": -1 }\nsteps:\n  - baseline\n';
    const document = await openFile('x.experiment.yaml', text);
    const split = await diagnostic(document, 'token-splits');
    assert.equal(document.getText(split.range), 'nurse');
    const [fix] = await quickFixes(document, split.range);
    assert.ok(fix?.edit);
    await vscode.workspace.applyEdit(fix.edit);
    await until('no mistake', () => diagnostics(document).length === 0);
    assert.match(document.getText(), /\{ " nurse": 1, /);
    await replaceText(document, '{ " nurse": 1', '{ "sh');
    assert.equal(await offers(document, '{ "sh', '␣she'), '" she": 1');
    await replaceText(document, '{ "sh', '{ " she": 1');
    const step = '- run: feature\n    with: { observables: [gender], paths: [L1.H0 <= L9.H0] }';
    await replaceText(document, '- baseline', step);
    const path = await diagnostic(document, 'bad-path');
    assert.equal(document.getText(path.range), 'L9.H0');
    await replaceText(document, 'L1.H0 <= L9.H0', 'L1.H0 <= L');
    await offers(document, '<= L', 'L0.H2');
    assert.equal(
      (await completions(document, behind(document, '<= L'))).get('L2.H2'),
      undefined,
      'later layers do not come before',
    );
    await offers(document, 'observables: [', 'gender');
    await document.save();
  });

  it('are gone down in a map of heads: a step of its own, once', async () => {
    const rows = [
      { clean: 'The nurse said that', corrupted: 'The farmer said that' },
      { clean: 'The maid said that', corrupted: 'The doctor said that' },
    ].map((row, i) => JSON.stringify({ id: `${i}`, ...row, roles: { job: 1, end: -1 }, answers: answer }));
    writeFileSync(join(folder, 'jobs.jsonl'), rows.join('\n'));
    const document = await openFile(
      'jobs.experiment.yaml',
      'model: small-world\ndata: jobs.jsonl\nobservables:\n  gender: { " she": 1, " he": -1 }\nsteps:\n  - name: map\n    run: heads-map\n    with: { observable: gender }\n',
    );
    const target = { uri: document.uri.toString(), step: 'map' };
    await vscode.commands.executeCommand('mechanist.runExperiment', { ...target, action: 'run' });
    await vscode.commands.executeCommand('mechanist.runExperiment', { ...target, action: 'open' });
    const panel = await until('the map', () =>
      extension()
        .exports.figuresPanels()
        .find(({ state }) => state.title === 'map.mechanist.json' && state.document !== null),
    );
    for (const _ of ['first', 'again']) await panel.receive({ type: 'descend', under: 'L2.H1@job' });
    const text = document.getText();
    assert.equal(text.split('under: "L2.H1@job"').length, 2, text);
    const figures = JSON.parse(
      readFileSync(join(folder, 'jobs.results/heads-under.mechanist.json'), 'utf8'),
    ) as FiguresDocument;
    assert.ok(figures.complete);
    assert.match(figures.title, /through L2\.H1@job$/);
    const opened = () =>
      extension()
        .exports.figuresPanels()
        .some(({ state }) => state.title.includes('heads-under'));
    await until('the map under the head', opened);
  });

  it('are studied from the pairs of a prompt file: data, experiment, every result; nothing is overwritten', async () => {
    await name({ object: { ' her': 1, ' him': -1 } });
    writeFileSync(
      join(folder, 'news.txt'),
      'The nurse said that she was tired.\n\nThe farmer said that he was late.\n',
    );
    const partners = [
      'The farmer said that',
      'The doctor said that',
      'The farmer told us that',
      'The doctor told us that',
    ];
    const prompts = ['The nurse said that', 'The maid said that', 'The nurse told us that', 'The maid told us that'];
    const pairs = `${smallWorld}\ncorrupted: ${JSON.stringify(partners)}`;
    const document = await openFile('jobs.prompt', promptFile(pairs, ...prompts));
    await observableText(document);
    const target: StudyTarget = { uri: document.uri.toString(), prompt: 0, analyses: everyStudy };
    await vscode.commands.executeCommand('mechanist.studyObservable', target);
    const rows = readFileSync(join(folder, 'jobs.jsonl'), 'utf8').trim().split('\n').slice(1);
    assert.deepEqual(
      rows.map((row) => JSON.parse(row).roles),
      rows.map(() => ({ differs: 1, end: -1 })),
    );
    for (const step of everyStudy) {
      const result = join(folder, `jobs.results/${step}.mechanist.json`);
      const figures = JSON.parse(readFileSync(result, 'utf8')) as FiguresDocument;
      assert.ok(figures.complete, step);
    }
    assert.deepEqual(diagnostics(await vscode.workspace.openTextDocument(join(folder, 'jobs.experiment.yaml'))), []);
    const before = readFileSync(join(folder, 'jobs.experiment.yaml'), 'utf8');
    await vscode.commands.executeCommand('mechanist.studyObservable', { ...target, name: 'jobs' });
    assert.equal(readFileSync(join(folder, 'jobs.experiment.yaml'), 'utf8'), before);
    const again = { ...target, name: 'again', analyses: ['baseline'] };
    await vscode.commands.executeCommand('mechanist.studyObservable', again);
    assert.ok(existsSync(join(folder, 'again.results/baseline.mechanist.json')));
  });
});
