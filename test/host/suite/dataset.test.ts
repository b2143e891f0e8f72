import { strict as assert } from 'node:assert';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, before, beforeEach, describe, it } from 'mocha';
import * as vscode from 'vscode';
import {
  closeEditors,
  diagnostic,
  diagnostics,
  extension,
  hoverOver,
  lensTitles,
  openFileWith,
  replaceText,
  until,
} from './support.ts';

let folder: string;

const header = {
  dataset: {
    name: 'jobs',
    model: 'small-world',
    seed: 2,
    sets: { jobs: [' nurse', ' maid', ' teacher', ' doctor'] },
    roles: { JOB: '@jobs' },
    corruptions: { other: { replace: 'JOB', from: '@jobs' } },
  },
};
const row = (word: string, more: object = {}) => ({
  clean: `The ${word} said that`,
  roles: { JOB: 1, END: -1 },
  answers: [{ token: ' she', foils: [' he'] }],
  ...more,
});

async function open(rows: readonly (object | string)[], name = 'jobs.jsonl'): Promise<vscode.TextDocument> {
  const text = rows.map((one) => `${typeof one === 'string' ? one : JSON.stringify(one)}\n`).join('');
  return await openFileWith(join(folder, name), text);
}

const finding = (document: vscode.TextDocument, wanted: RegExp) =>
  until(`a lens ${wanted}`, async () => (await lensTitles(document)).find((title) => wanted.test(title)));

describe('a dataset', () => {
  before(() => extension().activate());
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'mechanist-data-'));
  });
  afterEach(async () => {
    await closeEditors();
    rmSync(folder, { recursive: true, force: true });
  });

  it('is counted over its first line and underlined at the word, again after each edit', async () => {
    const document = await open([
      header,
      row('nurse'),
      row('maid', { answers: [{ token: ' Kazakhstan' }] }),
      row('farmer'),
    ]);
    assert.equal(await finding(document, /row/), '1 row, 2 refused');
    const split = await diagnostic(document, 'token-splits');
    assert.equal(document.getText(split.range), '" Kazakhstan"');
    assert.equal(split.range.start.line, 2);
    const role = await diagnostic(document, 'role-mismatch');
    assert.equal(role.range.start.line, 3);
    assert.match(role.message, /token 2 is ␣farmer/);
    await replaceText(document, ' Kazakhstan', ' she');
    await replaceText(document, 'farmer', 'doctor');
    await until('no squiggle', () => diagnostics(document).length === 0);
    assert.equal(await finding(document, /row/), '3 rows');
    await replaceText(document, '"sets"', '"set"');
    assert.match((await diagnostic(document, 'unknown-key')).message, /Did you mean sets/);
  });

  it('shows a row’s tokens, roles, answers and corrupted tokens under the mouse', async () => {
    const document = await open([header, row('nurse'), row('doctor')]);
    await finding(document, /^2 rows$/);
    const card = await hoverOver(document, 'doctor');
    assert.match(card, /\*\*Row 3\*\* · 4 tokens of small-world/);
    assert.match(card, /\| 2 \| <code>␣doctor<\/code> \| \d+ \| JOB \|/);
    assert.match(card, /END \| → <code>␣she<\/code> against <code>␣he<\/code>/);
    assert.match(card, /\| other \| JOB <code>␣(nurse|maid|teacher)<\/code> \|/);
  });

  it('leaves other files of the same ending alone', async () => {
    const document = await open([{ question: 'Who?', answer: 'she' }], 'other.jsonl');
    const data = await open([header, row('nurse')]);
    await finding(data, /^1 row$/);
    assert.deepEqual(await lensTitles(document), []);
    assert.deepEqual(diagnostics(document), []);
  });

  it('says when its model is not here, and checks the form of its rows', async () => {
    const elsewhere = { dataset: { ...header.dataset, model: 'gpt2-medium' } };
    const document = await open([elsewhere, row('farmer'), '{"clean": "a",}']);
    assert.match(
      await finding(document, /row/),
      /^1 row, 1 refused, tokens not read: gpt2-medium is not on this machine/,
    );
    const absent = await diagnostic(document, 'unknown-model');
    assert.equal(document.getText(absent.range), '"gpt2-medium"');
    const broken = await diagnostic(document, 'not-json');
    assert.deepEqual([broken.range.start.line, broken.range.start.character], [2, 14]);
  });

  it('opens as rows of tokens, follows edits, and leads back to the line', async () => {
    const many = Array.from({ length: 300 }, (_, i) => row(i === 250 ? 'farmer' : 'nurse', { id: i }));
    const document = await open([header, ...many]);
    await finding(document, /^299 rows, 1 refused$/);
    const lenses = await vscode.commands.executeCommand<vscode.CodeLens[]>(
      'vscode.executeCodeLensProvider',
      document.uri,
      9,
    );
    const show = lenses.find(({ command }) => command?.title === 'Show Tokens')?.command;
    assert.ok(show);
    await vscode.commands.executeCommand(show.command, ...(show.arguments ?? []));
    const panel = await until('a panel with rows', () =>
      extension()
        .exports.datasetPanels()
        .find(({ state }) => state.window),
    );
    assert.equal(panel.state.finding, '299 rows, 1 refused');
    // The page asks for rows of its own while it is built: ask until ours are there.
    const ask = (filter: 'all' | 'refused', from: number) =>
      until(`rows from ${from}`, async () => {
        await panel.receive({ type: 'window', filter, from, count: 20 });
        const { window } = panel.state;
        return window?.filter === filter && window.from === from && window.rows;
      });
    const [refused] = await ask('refused', 0);
    assert.deepEqual([refused?.line, refused?.tokens[1]?.text], [251, ' farmer']);
    assert.match(refused?.problems[0]?.message ?? '', /JOB is to be one of @jobs/);
    const [first] = await ask('all', 240);
    assert.equal(first?.line, 241);
    await replaceText(document, 'farmer', 'maid');
    await until(
      'the new text',
      () => panel.state.finding === '300 rows' && panel.state.window?.rows[10]?.refused === false,
    );
    await panel.receive({ type: 'openLine', line: 251, column: 3 });
    await until('the line', () => vscode.window.activeTextEditor?.selection.active.line === 251);
  });
});
