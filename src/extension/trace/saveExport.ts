import * as vscode from 'vscode';
import type { ExportFormat, FromTracePanel } from '../../shared/tracePanelProtocol.ts';

const formatNames: Readonly<Record<ExportFormat, string>> = {
  svg: 'SVG image',
  png: 'PNG image',
  csv: 'CSV table',
  json: 'JSON',
  html: 'HTML report',
};

/**
 * Writes a file so that nobody ever sees half of it: to a temporary name in the same folder, then renamed.
 * @param overwrite false: a file that is there already stays, and an error is thrown
 */
export async function writeAtomically(uri: vscode.Uri, data: Uint8Array, overwrite = true): Promise<void> {
  const temporary = uri.with({ path: `${uri.path}.${Date.now().toString(36)}.tmp` });
  try {
    await vscode.workspace.fs.writeFile(temporary, data);
    await vscode.workspace.fs.rename(temporary, uri, { overwrite });
  } catch (error) {
    await vscode.workspace.fs.delete(temporary).then(undefined, () => undefined);
    throw error;
  }
}

/** Asks where to save what a panel exports and saves it. Resolves to the place, or undefined when the person gave up. */
export async function saveExport(
  message: Extract<FromTracePanel, { type: 'export' }>,
  besides: vscode.Uri,
): Promise<vscode.Uri | undefined> {
  const { format, data } = message;
  const name = message.name.replace(/[^\w.-]+/g, '-').replace(/^[.-]+/, '') || 'trace';
  const file = name.toLowerCase().endsWith(`.${format}`) ? name : `${name}.${format}`;
  const uri = await vscode.window.showSaveDialog({
    title: 'Export',
    defaultUri: vscode.Uri.joinPath(besides, '..', file),
    filters: { [formatNames[format]]: [format] },
  });
  if (!uri) return undefined;
  await writeAtomically(uri, typeof data === 'string' ? new TextEncoder().encode(data) : new Uint8Array(data));
  return uri;
}
