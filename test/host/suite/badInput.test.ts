import { strict as assert } from 'node:assert';
import { afterEach, before, describe, it } from 'mocha';
import * as vscode from 'vscode';
import {
  closeEditors,
  diagnostic,
  diagnostics,
  extension,
  hoverOver,
  lensTitles,
  observableText,
  openPrompt,
  promptFile,
  quickFixes,
  smallWorld,
  until,
} from './support.ts';

/** Asks everything that VS Code asks of an open file. */
async function askAll(document: vscode.TextDocument): Promise<void> {
  const { uri } = document;
  const whole = new vscode.Range(0, 0, document.lineCount, 0);
  const run = (command: string, ...args: unknown[]) => vscode.commands.executeCommand(command, uri, ...args);
  await run('vscode.executeCodeLensProvider', 10);
  await run('vscode.executeInlayHintProvider', whole);
  await run('vscode.executeDocumentSymbolProvider');
  await run('vscode.executeCodeActionProvider', whole);
  for (const offset of [0, 5, 20, document.getText().length >> 1, document.getText().length - 1]) {
    await run('vscode.executeHoverProvider', document.positionAt(offset));
  }
}

describe('wrong prompt files', () => {
  before(() => extension().activate());
  afterEach(closeEditors);

  it('underlines an unknown key and offers the nearest', async () => {
    const document = await openPrompt('---\nmodel: small-world\nobservabel: " she"\n---\nThe nurse said that\n');
    const found = await diagnostic(document, 'unknown-key');
    assert.equal(document.getText(found.range), 'observabel');
    const [fix] = await quickFixes(document, found.range);
    assert.equal(fix?.title, 'Change to observable');
    assert.ok(fix.edit && (await vscode.workspace.applyEdit(fix.edit)));
    await until('no diagnostics', () => diagnostics(document).length === 0);
    assert.match(await observableText(document), /^␣she = /);
  });

  it('shows the split of an observable token and adds the leading space', async () => {
    const document = await openPrompt(
      promptFile('model: small-world\nobservable: { "she": 1, " he": -1 }', 'The nurse said that'),
    );
    const found = await diagnostic(document, 'token-splits');
    assert.equal(document.getText(found.range), '"she"');
    assert.match(found.message, / \| /);
    assert.ok((await lensTitles(document)).some((title) => title.includes('front matter')));
    const [fix] = await quickFixes(document, found.range);
    assert.equal(fix?.title, 'Use ␣she');
    assert.ok(fix.edit && (await vscode.workspace.applyEdit(fix.edit)));
    assert.match(document.getText(), /\{ " she": 1/);
    await observableText(document);
    assert.deepEqual(diagnostics(document), []);
  });

  it('underlines a model that nobody knows', async () => {
    const document = await openPrompt(promptFile('model: small-wrold', 'The nurse said that'));
    const found = await diagnostic(document, 'model-not-found');
    assert.equal(document.getText(found.range), 'small-wrold');
    const [fix] = await quickFixes(document, found.range);
    assert.equal(fix?.title, 'Use small-world');
  });

  it('says where a prompt outgrows the context', async () => {
    const document = await openPrompt(promptFile(smallWorld, 'The nurse said that '.repeat(400)));
    const found = await diagnostic(document, 'prompt-too-long');
    assert.ok(document.offsetAt(found.range.start) > 100);
    assert.match(found.message, /of [\d,]+ tokens/);
    assert.match(await hoverOver(document, 'model'), /catalogue/);
  });

  it('underlines a position that the prompt does not have', async () => {
    const document = await openPrompt(promptFile(`${smallWorld}\nposition: 99`, 'The nurse said that'));
    const found = await diagnostic(document, 'bad-input');
    assert.equal(document.getText(found.range), '99');
  });

  for (const [name, content] of [
    ['YAML that is none', '---\n{ [ : "\n---\nThe nurse'],
    ['front matter that is not closed', '---\nmodel: small-world\n'],
    ['NUL bytes', promptFile(smallWorld, 'The \0nurse\0 said')],
    ['nothing', ''],
    ['an empty prompt', promptFile(smallWorld, '', 'x')],
    ['lone surrogates', promptFile(smallWorld, 'The \uD800 nurse \uDC00')],
    ['1 MB of text', promptFile(smallWorld, 'The nurse said that. '.repeat(50_000))],
    ['1 MB of dividers', '---\n'.repeat(262_144)],
    ['1 MB in short prompts', promptFile(smallWorld, ...Array.from({ length: 120_000 }, () => 'hi'))],
  ] as const) {
    it(`survives ${name}`, async () => {
      const document = await openPrompt(content);
      await askAll(document);
      const good = await openPrompt(promptFile(smallWorld, 'The nurse said that'));
      await observableText(good);
    });
  }
});
