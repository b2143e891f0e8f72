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

/** Opens a result of a coupling at a place below the folder. */
async function open(...path: string[]) {
  const file = join(folder, ...path);
  mkdirSync(join(file, '..'), { recursive: true });
  writeFileSync(file, resultToJson(makeCouplingResult({ corpus: false, observables })));
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
});
