import { basename } from 'node:path';
import * as vscode from 'vscode';
import type { GridDocument } from '../../shared/gridDocument.ts';
import { gridFromJson, gridToJson, resultEnding } from '../../shared/gridFile.ts';
import { exists } from '../files.ts';
import { writeAtomically } from '../trace/saveExport.ts';
import { sweepName } from './sweep.ts';

/** Results that are offered for a comparison. */
const mostOffered = 200;

export function nameOf(uri: vscode.Uri): string {
  return basename(uri.path);
}

export async function readText(uri: vscode.Uri): Promise<string> {
  return new TextDecoder().decode(await vscode.workspace.fs.readFile(uri));
}

/** `ioi` of `ioi.prompt`. */
function stemOf(uri: vscode.Uri): string {
  const name = nameOf(uri);
  return name.endsWith(resultEnding) ? name.slice(0, -resultEnding.length).split('.')[0] : name.replace(/\.[^.]*$/, '');
}

/** True when a file is not there, or holds this very result in an earlier state. */
async function mayReplace(uri: vscode.Uri, document: GridDocument): Promise<boolean> {
  if (!(await exists(uri))) return true;
  try {
    return gridFromJson(await readText(uri)).provenance.hash === document.provenance.hash;
  } catch {
    // Somebody else's file, or one that is damaged: left alone.
    return false;
  }
}

/**
 * Writes a result beside its prompt file, as `ioi.ablate.heads.zero.mechanist.json`; the same sweep replaces its own file,
 * another one gets a number. An unsaved prompt file has no folder: then the person is asked.
 */
export async function saveResult(document: GridDocument, besides: vscode.Uri): Promise<vscode.Uri | undefined> {
  const name = `${stemOf(besides)}.${sweepName(document.request)}`;
  const data = new TextEncoder().encode(gridToJson(document));
  if (besides.scheme === 'untitled') {
    const folder = vscode.workspace.workspaceFolders?.[0]?.uri;
    const filters = { 'Mechanist result': ['mechanist.json'] };
    const defaultUri = folder && vscode.Uri.joinPath(folder, `${name}${resultEnding}`);
    const chosen = await vscode.window.showSaveDialog({
      title: 'Save Result',
      filters,
      ...(defaultUri && { defaultUri }),
    });
    if (chosen) await writeAtomically(chosen, data);
    return chosen;
  }
  for (let i = 1; ; i++) {
    const uri = vscode.Uri.joinPath(besides, '..', `${name}${i === 1 ? '' : `-${i}`}${resultEnding}`);
    if (!(await mayReplace(uri, document))) continue;
    await writeAtomically(uri, data);
    return uri;
  }
}

/** Asks for a second result: those of the workspace, or any file. */
export async function chooseResult(besides: vscode.Uri): Promise<vscode.Uri | undefined> {
  const found = await vscode.workspace.findFiles(`**/*${resultEnding}`, '**/node_modules/**', mostOffered);
  const items = found
    .filter((uri) => uri.toString() !== besides.toString())
    .map((uri) => ({ label: nameOf(uri), description: vscode.workspace.asRelativePath(uri), uri }));
  const browse = { label: '$(folder-opened) Choose a File…', description: '', uri: undefined };
  const picked = await vscode.window.showQuickPick([...items, browse], {
    title: 'Compare With…',
    placeHolder: 'A result on the same axes; what is drawn is this one minus that one',
    matchOnDescription: true,
  });
  if (!picked) return undefined;
  if (picked.uri) return picked.uri;
  const chosen = await vscode.window.showOpenDialog({
    title: 'Compare With…',
    canSelectMany: false,
    filters: { 'Mechanist result': ['json'] },
  });
  return chosen?.[0];
}
