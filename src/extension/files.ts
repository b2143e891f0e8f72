import { dirname } from 'node:path';
import * as vscode from 'vscode';

/** The folder of a document; null while it is not in a file. */
export function folderOf({ uri }: Pick<vscode.TextDocument, 'uri'>): string | null {
  return uri.scheme === 'file' ? dirname(uri.fsPath) : null;
}

/** Whether there is something at a place. */
export async function exists(uri: vscode.Uri): Promise<boolean> {
  return await vscode.workspace.fs.stat(uri).then(
    () => true,
    () => false,
  );
}
