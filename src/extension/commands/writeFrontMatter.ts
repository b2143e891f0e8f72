import * as vscode from 'vscode';
import { setFrontMatterKeys } from '../../core/tasks/editFrontMatter.ts';
import type { FrontMatterKey } from '../../core/tasks/frontMatter.ts';
import { MechanistError } from '../../shared/errors.ts';

/** Sets keys of a prompt file's front matter, as one edit that can be undone. Values are YAML text. */
export async function writeFrontMatter(
  document: vscode.TextDocument,
  ...pairs: readonly (readonly [key: FrontMatterKey, value: string])[]
): Promise<void> {
  const change = setFrontMatterKeys(document.getText(), pairs);
  if (!change) {
    throw new MechanistError(
      'bad-input',
      'The front matter is not valid YAML. Put right what is underlined, then try again.',
    );
  }
  const edit = new vscode.WorkspaceEdit();
  const range = new vscode.Range(document.positionAt(change.start), document.positionAt(change.end));
  edit.replace(document.uri, range, change.newText);
  if (!(await vscode.workspace.applyEdit(edit))) {
    throw new MechanistError('bad-input', 'The file could not be changed. Is it read-only?');
  }
}
