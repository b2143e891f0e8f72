import { randomBytes } from 'node:crypto';
import * as vscode from 'vscode';

/** Folders whose files a panel may load. */
export function panelRoots(extensionUri: vscode.Uri): vscode.Uri[] {
  return [vscode.Uri.joinPath(extensionUri, 'dist', 'webview')];
}

/** The page of a panel: a strict content security policy, styles and one script; no data, that comes by message. */
export function panelHtml(
  webview: vscode.Webview,
  extensionUri: vscode.Uri,
  name: 'trace' | 'grid' | 'results' | 'circuit' | 'dataset',
  title: string,
): string {
  const [root] = panelRoots(extensionUri);
  const file = (path: string) => (root ? webview.asWebviewUri(vscode.Uri.joinPath(root, path)).toString() : '');
  const nonce = randomBytes(16).toString('hex');
  const policy = [
    "default-src 'none'",
    `img-src ${webview.cspSource} data:`,
    `font-src ${webview.cspSource}`,
    `style-src ${webview.cspSource} 'unsafe-inline'`,
    `script-src 'nonce-${nonce}'`,
  ].join('; ');
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title.replace(/[&<>]/g, (c) => `&#${c.charCodeAt(0)};`)}</title>
<link rel="stylesheet" href="${file('codicon.css')}" id="vscode-codicon-stylesheet">
<link rel="stylesheet" href="${file(`${name}.css`)}">
</head>
<body>
<script type="module" nonce="${nonce}" src="${file(`${name}.js`)}"></script>
</body>
</html>`;
}
