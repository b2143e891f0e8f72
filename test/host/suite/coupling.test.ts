import { strict as assert } from 'node:assert';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import * as vscode from 'vscode';
import { resultToJson } from '../../../src/shared/resultJson.ts';
import { makeCouplingResult } from '../../support/couplingFixture.ts';
import { closeEditors, extension, until } from './support.ts';

let folder: string;

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'mechanist-coupling-'));
});

after(async () => {
  await closeEditors();
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
});

const observables = ['occupations', 'Dem. − Rep.'];

/** Features of the coupling, and a corpus that is not there. */
const asked = {
  features: { observables: [{ ' she': 1, ' he': -1 }], paths: ['L1.H0@name', 'L1.H4@name', 'L0.H2@name'] },
  corpus: 'absent.txt',
};

const row = {
  ...{ id: 'a', clean: 'The farmer said that', corrupted: 'The nurse said that', roles: { name: 1, end: -1 } },
  answers: [{ name: 'answer', pos: -1, token: ' he', foils: [' she'] }],
};

/** Opens a result of a coupling at a place below the folder. */
async function open(...path: string[]) {
  const file = join(folder, ...path);
  mkdirSync(join(file, '..'), { recursive: true });
  const result = makeCouplingResult({ corpus: false, observables });
  writeFileSync(file, resultToJson({ ...result, request: { ...result.request, with: asked } }));
  await vscode.commands.executeCommand('vscode.open', vscode.Uri.file(file));
  return await until('the panel', () => {
    const panel = extension().exports.figuresPanels().at(-1);
    return panel?.state.document && panel.state.title === path.at(-1) ? panel : null;
  });
}

describe('what the panel of a coupling asks for', () => {
  const ask = { type: 'coupling', request: { type: 'useBoundary' } } as const;

  it('says in words that there is no experiment', async () => {
    await assert.rejects(
      (await open('alone.mechanist.json')).receive(ask),
      /not found: results of one stand in a folder/,
    );
    const lost = await open('lost.results', 'lost-step.mechanist.json');
    await assert.rejects(lost.receive(ask), /there is no lost\.experiment\.yaml beside lost\.results/);
  });

  it('says in words that the experiment has no such step, or that its steps cannot be changed', async () => {
    const panel = await open('named.results', 'renamed.mechanist.json');
    const file = join(folder, 'named.experiment.yaml');
    const text = 'model: small-world\ndata: d.jsonl\nsteps:\n  - baseline\n';
    writeFileSync(file, text);
    await assert.rejects(panel.receive(ask), /named\.experiment\.yaml has no step "renamed" any more/);
    assert.equal(readFileSync(file, 'utf8'), text);
  });

  it('changes nothing in an experiment that could not be run', async () => {
    const panel = await open('wrong.results', 'coupled.mechanist.json');
    const file = join(folder, 'wrong.experiment.yaml');
    const text = 'model: small-world\ndata: d.jsonl\nsteps:\n  - name: coupled\n    run: baseline\n  - run: baselin\n';
    writeFileSync(file, text);
    const topTokens = { type: 'coupling', request: { type: 'topTokens', features: [0, 1] } } as const;
    const mapHeads = { type: 'coupling', request: { type: 'mapHeads', feature: 1 } } as const;
    for (const message of [ask, topTokens, mapHeads]) await assert.rejects(panel.receive(message), /Line 6: .*baselin/);
    await assert.rejects(panel.receive({ type: 'descend', under: 'L1.H0@name' }), /Line 6: /);
    assert.equal(readFileSync(file, 'utf8'), text);
  });

  it('maps the heads that write a feature: one step, run and opened', async () => {
    const panel = await open('mapped.results', 'coupled.mechanist.json');
    writeFileSync(join(folder, 'mapped.jsonl'), JSON.stringify(row));
    const file = join(folder, 'mapped.experiment.yaml');
    writeFileSync(file, 'model: small-world\ndata: mapped.jsonl\nsteps:\n  - name: coupled\n    run: baseline\n');
    for (let click = 0; click < 2; click++) {
      await panel.receive({ type: 'coupling', request: { type: 'mapHeads', feature: 1 } });
      const step = 'name: heads-under\n    run: heads-map\n    with:\n      observable: { " she": 1, " he": -1 }\n';
      const [before, after, ...more] = readFileSync(file, 'utf8').split(`${step}      under: "L1.H4@name"`);
      assert.ok(before.endsWith('- ') && after !== undefined && more.length === 0, readFileSync(file, 'utf8'));
    }
    const before = readFileSync(file, 'utf8');
    const first = { type: 'coupling', request: { type: 'mapHeads', feature: 2 } } as const;
    await assert.rejects(panel.receive(first), /No head writes to what L0\.H2@name reads/);
    assert.equal(readFileSync(file, 'utf8'), before);
    await until('the map', () =>
      extension()
        .exports.figuresPanels()
        .some(({ state }) => state.title === 'heads-under.mechanist.json' && state.document !== null),
    );
  });

  it('adds one step for two clicks, and opens no result that is not there', async () => {
    const panel = await open('twice.results', 'coupled.mechanist.json');
    writeFileSync(join(folder, 'twice.jsonl'), JSON.stringify(row));
    const file = join(folder, 'twice.experiment.yaml');
    writeFileSync(file, 'model: small-world\ndata: twice.jsonl\nsteps:\n  - name: coupled\n    run: baseline\n');
    const click = () => panel.receive({ type: 'coupling', request: { type: 'topTokens', features: [0, 1] } });
    // The corpus is not there: the step is written once, and why it failed is said once.
    const [first, second] = await Promise.allSettled([click(), click()]);
    assert.match(String(first.status === 'rejected' && first.reason), /top-tokens: .*absent\.txt/);
    assert.equal(second.status, 'fulfilled');
    assert.equal(readFileSync(file, 'utf8').split('run: top-tokens').length, 2);
    const labels = vscode.window.tabGroups.all.flatMap(({ tabs }) => tabs.map(({ label }) => label));
    assert.deepEqual(
      labels.filter((label) => label.includes('top-tokens')),
      [],
    );
  });
});
