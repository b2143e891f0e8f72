import { strict as assert } from 'node:assert';
import { describe, it } from 'mocha';
import * as vscode from 'vscode';

describe('activation', () => {
  it('activates when a prompt file is opened', async () => {
    const extension = vscode.extensions.getExtension('mechanist.mechanist');
    assert.ok(extension, 'VS Code does not know the extension');
    const [prompt] = await vscode.workspace.findFiles('**/pronouns.prompt');
    assert.ok(prompt, 'examples/prompts/pronouns.prompt is not in the workspace');
    const document = await vscode.workspace.openTextDocument(prompt);
    assert.equal(document.languageId, 'mechanist-prompt');
    await vscode.window.showTextDocument(document);
    await extension.activate();
    assert.ok(extension.isActive);
  });

  it('registers every command that package.json promises', async () => {
    const extension = vscode.extensions.getExtension('mechanist.mechanist');
    assert.ok(extension);
    await extension.activate();
    const registered = new Set(await vscode.commands.getCommands(true));
    const promised: { command: string }[] = extension.packageJSON.contributes.commands;
    assert.ok(promised.length > 0);
    assert.deepEqual(
      promised.map(({ command }) => command).filter((id) => !registered.has(id)),
      [],
    );
  });
});
