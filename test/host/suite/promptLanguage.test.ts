import { strict as assert } from 'node:assert';
import { afterEach, before, describe, it } from 'mocha';
import * as vscode from 'vscode';
import { share, signed, signedFixed, visibleToken } from '../../../src/shared/format.ts';
import {
  closeEditors,
  completions,
  extension,
  hoverOver,
  lensTitles,
  observableText,
  openPrompt,
  promptFile,
  replaceText,
  smallWorld,
  traceByCli,
  until,
} from './support.ts';

const observable = '{" she":1," he":-1}';
const prompt = 'The nurse said that';

describe('a prompt file on the bundled model', () => {
  before(() => extension().activate());
  afterEach(closeEditors);

  it('has a row over each prompt with the value that the command line gives', async () => {
    const document = await openPrompt(promptFile(smallWorld, prompt, 'The farmer said that'));
    const cli = await traceByCli(prompt, 'small-world', observable);
    assert.equal(await observableText(document), `␣she − ␣he = ${signedFixed(cli.observable.value)} logits`);
    const titles = await until('both prompts', async () => {
      const now = await lensTitles(document);
      return now.filter((title) => title.endsWith(' logits')).length === 2 && now;
    });
    assert.match(titles[0] ?? '', /^small-world/);
    assert.deepEqual(titles.slice(2, 5), ['Trace', 'Change Observable', 'Change Method']);
  });

  it('hints at the next tokens', async () => {
    const document = await openPrompt(promptFile(smallWorld, prompt));
    await observableText(document);
    const cli = await traceByCli(prompt, 'small-world', observable);
    const whole = new vscode.Range(0, 0, document.lineCount, 0);
    const hints = await vscode.commands.executeCommand<vscode.InlayHint[]>(
      'vscode.executeInlayHintProvider',
      document.uri,
      whole,
    );
    const wanted = cli.top.slice(0, 2).map((t) => `${visibleToken(t.text)} ${share(Math.exp(t.logprob))}`);
    assert.deepEqual(
      hints.map((h) => String(h.label).replaceAll('\u00a0', ' ')),
      [`next ${wanted.join('  ')}`],
    );
    assert.deepEqual(
      document.offsetAt(hints[0]?.position ?? new vscode.Position(0, 0)),
      document.getText().trimEnd().length,
    );
  });

  it('explains a token on hover, from memory in well under a second', async () => {
    const document = await openPrompt(promptFile(smallWorld, prompt));
    await observableText(document);
    const cli = await traceByCli(prompt, 'small-world', observable);
    const nurse = cli.tokens.findIndex((t) => t.text === ' nurse');
    const hover = await hoverOver(document, 'nurse');
    assert.match(hover, new RegExp(`token id</span> <strong>${cli.tokens[nurse]?.id}<`));
    assert.match(hover, new RegExp(`position <strong>${nurse + 1}</strong> of ${cli.tokens.length}`));
    const value = cli.attributions.find((a) => a.pos === nurse)?.value ?? Number.NaN;
    assert.ok(hover.includes(`<strong>${signed(value)} logits</strong>`), `${signed(value)} is not in ${hover}`);
    for (const part of [
      'Carried by',
      'attn to it',
      'Logit lens here',
      'Open Trace at This Token',
      'Copy as JSON',
      'no ablation',
    ]) {
      assert.ok(hover.includes(part), `"${part}" is missing`);
    }
    const times: number[] = [];
    for (let i = 0; i < 5; i++) {
      const start = performance.now();
      await hoverOver(document, 'nurse');
      times.push(performance.now() - start);
    }
    assert.ok(Math.min(...times) < 50, `hover from memory took ${times.map(Math.round).join(', ')} ms`);
  });

  it('names its prompts for the breadcrumb', async () => {
    const document = await openPrompt(promptFile(smallWorld, prompt, 'two', 'three'));
    const symbols = await vscode.commands.executeCommand<vscode.DocumentSymbol[]>(
      'vscode.executeDocumentSymbolProvider',
      document.uri,
    );
    assert.deepEqual(
      symbols.map((s) => s.name),
      ['prompt 1 of 3', 'prompt 2 of 3', 'prompt 3 of 3'],
    );
  });

  it('offers keys, models and methods in front matter', async () => {
    const document = await openPrompt('---\nmodel: \nme\nmethod: \n---\nx');
    const at = async (line: number) => [...(await completions(document, document.lineAt(line).range.end)).keys()];
    const models = await at(1);
    assert.ok(models.includes('small-world') && models.includes('smollm2-135m'), models.join());
    const keys = await at(2);
    assert.ok(keys.includes('observable') && keys.includes('position'), keys.join());
    assert.ok(!keys.includes('model'), 'model is there already');
    const methods = ['direct', 'gradient-times-input', 'integrated-gradients', 'observable-propagation', 'occlusion'];
    assert.deepEqual((await at(3)).slice(0, methods.length), methods);
    assert.match(await hoverOver(document, 'method'), /occlusion/);
  });

  it('traces again after an edit; the last edit wins', async () => {
    const document = await openPrompt(promptFile(smallWorld, prompt));
    const before = await observableText(document);
    await replaceText(document, 'nurse', 'doctor');
    await replaceText(document, 'doctor', 'farmer');
    const cli = await traceByCli('The farmer said that', 'small-world', observable);
    const wanted = `␣she − ␣he = ${signedFixed(cli.observable.value)} logits`;
    assert.notEqual(wanted, before);
    await until(wanted, async () => (await lensTitles(document)).includes(wanted));
  });

  it('follows a change of settings', async () => {
    const document = await openPrompt(promptFile(smallWorld, prompt));
    await observableText(document);
    const settings = vscode.workspace.getConfiguration('mechanist');
    await settings.update('method', 'occlusion', vscode.ConfigurationTarget.Global);
    try {
      await until('occlusion in the hover', async () =>
        (await hoverOver(document, 'nurse')).includes('mean embedding'),
      );
      assert.match(await hoverOver(document, 'nurse'), /Direct split/);
    } finally {
      await settings.update('method', undefined, vscode.ConfigurationTarget.Global);
    }
    await until('direct again', async () => (await hoverOver(document, 'nurse')).includes('attention and norm frozen'));
  });

  it('stands in for a model that is not here, says so, and offers the download', async () => {
    const document = await openPrompt(promptFile(smallWorld.replace('small-world', 'gpt2-medium'), prompt));
    await observableText(document);
    let found: readonly string[] = [];
    const titles = await until(
      'the row to say so',
      async () => {
        found = await lensTitles(document);
        return /^small-world.* instead of gpt2-medium$/.test(found[0] ?? '') ? found : null;
      },
      () => `${found.join(' | ')}${document.isClosed ? ', and the document is closed' : ''}`,
    );
    assert.match(titles[1] ?? '', /^Download gpt2-medium, 1\.5 GB$/);
  });

  it('opens the trace panel beside the file', async () => {
    const document = await openPrompt(promptFile(smallWorld, prompt));
    await observableText(document);
    await vscode.commands.executeCommand('mechanist.tracePrompt');
    const tab = await until('the panel', () =>
      vscode.window.tabGroups.all.flatMap((group) => group.tabs).find((t) => t.label.startsWith('Trace: ')),
    );
    assert.notEqual(tab.group.viewColumn, vscode.window.activeTextEditor?.viewColumn);
    await until(
      'its title',
      () =>
        /:\d+$/.test(tab.label) ||
        vscode.window.tabGroups.all.some((g) => g.tabs.some((t) => /^Trace: .*:\d+$/.test(t.label))),
    );
  });
});
