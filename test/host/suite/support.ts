import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import * as vscode from 'vscode';
import type { MechanistApi } from '../../../src/extension/extension.ts';

/** Front matter for the model that every installation has. */
export const smallWorld = 'model: small-world\nobservable: { " she": 1, " he": -1 }';

export function extension(): vscode.Extension<MechanistApi> {
  const found = vscode.extensions.getExtension<MechanistApi>('mechanist.mechanist');
  if (!found) throw new Error('VS Code does not know the extension');
  return found;
}

/** How long an answer may take on a busy machine. */
const TIMEOUT_MS = 60_000;

/** Asks until the answer is neither null, undefined nor false. */
export async function until<T>(
  what: string,
  ask: () => Promise<T | null | undefined | false> | T | null | undefined | false,
  instead: () => string = () => '',
): Promise<T> {
  const deadline = Date.now() + TIMEOUT_MS;
  for (;;) {
    const answer = await ask();
    if (answer !== null && answer !== undefined && answer !== false) return answer;
    if (Date.now() > deadline) throw new Error(`Not within ${TIMEOUT_MS / 1000} s: ${what}; ${instead()}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/**
 * A new, unsaved prompt file in an editor. VS Code gives it the name of one that was just closed, and, where that one's backup is
 * still there, its text: then another is opened. Text that VS Code itself changes (lone surrogates) is taken the third time.
 */
export async function openPrompt(content: string): Promise<vscode.TextDocument> {
  for (let attempt = 1; ; attempt++) {
    const document = await vscode.workspace.openTextDocument({ language: 'mechanist-prompt', content });
    await vscode.window.showTextDocument(document);
    if (document.getText() === content || attempt === 3) return document;
    await closeEditors();
  }
}

/** Prompts under front matter. */
export function promptFile(frontMatter: string, ...prompts: string[]): string {
  return `---\n${frontMatter}\n---\n${prompts.join('\n---\n')}\n`;
}

/** Titles of all CodeLens entries, by prompt in order. */
export async function lensTitles(document: vscode.TextDocument): Promise<string[]> {
  const lenses = await vscode.commands.executeCommand<vscode.CodeLens[]>(
    'vscode.executeCodeLensProvider',
    document.uri,
    500,
  );
  return lenses.map((lens) => (lens.command?.title ?? '').replaceAll('\u00a0', ' '));
}

/** The value in the row over the first prompt, once it is there: `␣she − ␣he = +1.60 logits`. */
export function observableText(document: vscode.TextDocument): Promise<string> {
  return until('a traced prompt', async () =>
    (await lensTitles(document)).find((title) => / = .* logits$/.test(title)),
  );
}

/** Markdown of the hover over the first occurrence of a word. */
export async function hoverOver(document: vscode.TextDocument, word: string): Promise<string> {
  const at = document.getText().lastIndexOf(word);
  if (at < 0) throw new Error(`"${word}" is not in the file`);
  const position = document.positionAt(at + Math.floor(word.length / 2));
  const hovers = await vscode.commands.executeCommand<vscode.Hover[]>(
    'vscode.executeHoverProvider',
    document.uri,
    position,
  );
  return hovers
    .flatMap((hover) => hover.contents)
    .map((content) => (typeof content === 'string' ? content : content.value))
    .join('\n')
    .replaceAll('\u00a0', ' ');
}

export function diagnostics(document: vscode.TextDocument): vscode.Diagnostic[] {
  return vscode.languages.getDiagnostics(document.uri).filter((d) => d.source === 'mechanist');
}

/** The diagnostic with a code, once it is there. */
export function diagnostic(document: vscode.TextDocument, code: string): Promise<vscode.Diagnostic> {
  return until(
    `a diagnostic ${code}`,
    () => diagnostics(document).find((d) => d.code === code),
    () => `there are ${JSON.stringify(diagnostics(document).map((d) => d.message))}`,
  );
}

export async function quickFixes(document: vscode.TextDocument, range: vscode.Range): Promise<vscode.CodeAction[]> {
  const kind = vscode.CodeActionKind.QuickFix.value;
  const found = await vscode.commands.executeCommand<vscode.CodeAction[]>(
    'vscode.executeCodeActionProvider',
    document.uri,
    range,
    kind,
  );
  return found.filter((action) => action.edit !== undefined);
}

/** What is offered at a place of a document: label → what would be inserted, in the order of the list. */
export async function completions(
  document: vscode.TextDocument,
  position: vscode.Position,
): Promise<ReadonlyMap<string, string>> {
  const list = await vscode.commands.executeCommand<vscode.CompletionList>(
    'vscode.executeCompletionItemProvider',
    document.uri,
    position,
  );
  return new Map(
    list.items.map(({ label, insertText }) => [
      typeof label === 'string' ? label : label.label,
      typeof insertText === 'string' ? insertText : (insertText?.value ?? ''),
    ]),
  );
}

/** The place behind the first occurrence of a text. */
export function behind(document: vscode.TextDocument, text: string): vscode.Position {
  const at = document.getText().indexOf(text);
  if (at < 0) throw new Error(`"${text}" is not in the file`);
  return document.positionAt(at + text.length);
}

/** Writes a file and opens it in an editor. */
export async function openFileWith(path: string, text: string): Promise<vscode.TextDocument> {
  writeFileSync(path, text);
  const document = await vscode.workspace.openTextDocument(path);
  await vscode.window.showTextDocument(document);
  return document;
}

export async function replaceText(document: vscode.TextDocument, from: string, to: string): Promise<void> {
  const at = document.getText().indexOf(from);
  if (at < 0) throw new Error(`"${from}" is not in the file`);
  const edit = new vscode.WorkspaceEdit();
  edit.replace(document.uri, new vscode.Range(document.positionAt(at), document.positionAt(at + from.length)), to);
  await vscode.workspace.applyEdit(edit);
}

/** What `mechanist trace --json` says. */
export interface CliTrace {
  readonly tokens: readonly { readonly id: number; readonly text: string }[];
  readonly top: readonly { readonly text: string; readonly logprob: number }[];
  readonly observable: { readonly value: number };
  readonly attributions: readonly { readonly pos: number; readonly value: number }[];
}

/** The same question on the command line. */
export async function traceByCli(prompt: string, model: string, observable: string): Promise<CliTrace> {
  const cli = join(extension().extensionPath, 'dist', 'cli.cjs');
  const args = [cli, 'trace', prompt, '--model', model, '--observable', observable, '--json'];
  const { stdout } = await promisify(execFile)(process.execPath, args, { maxBuffer: 64 * 1024 * 1024 });
  return JSON.parse(stdout) as CliTrace;
}

export async function closeEditors(): Promise<void> {
  await vscode.commands.executeCommand('workbench.action.revertAndCloseActiveEditor');
  await vscode.commands.executeCommand('workbench.action.closeAllEditors');
}
