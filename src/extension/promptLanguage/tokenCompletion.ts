import * as vscode from 'vscode';
import { plainText } from '../../core/tasks/editFrontMatter.ts';
import type { CursorPlace } from '../../core/tasks/experiment/experimentCursor.ts';
import type { NamedSpecs } from '../../core/tasks/namedObservables.ts';
import { specLabel } from '../../core/tasks/observable.ts';
import { typedToken } from '../../core/tasks/typedToken.ts';
import type { TokenCompletion } from '../../shared/engineProtocol.ts';
import { visibleToken } from '../../shared/format.ts';
import type { EnginePort } from '../engineClient.ts';

/** So many tokens are offered at once; typing on asks for others. */
const MOST_TOKENS = 50;

/** The model that a YAML text names, also while something else in it is broken. */
export function modelNamedIn(yaml: string): string | undefined {
  return /^model:[ \t]*(?:"([^"\n]+)"|'([^'\n]+)'|([^\s#"'][^\n#]*?))[ \t]*(?:#.*)?\r?$/m
    .exec(yaml)
    ?.slice(1)
    .find(Boolean);
}

/** Where a token is being written: its text so far is replaced, the quote that an editor put behind it as well. */
function placeOf(document: vscode.TextDocument, position: vscode.Position, word: string) {
  const line = document.lineAt(position.line).text;
  const quote = /^["']/.exec(word)?.[0];
  const closing = quote !== undefined && line[position.character] === quote ? 1 : 0;
  const range = new vscode.Range(
    position.translate(0, -Math.min(position.character, word.length)),
    position.translate(0, closing),
  );
  return { range, weighed: /^\s*:/.test(line.slice(position.character + closing)) };
}

/** Tokens of a model's vocabulary that begin as the word under the cursor; `likely` ones first while nothing is typed. */
export async function tokenItems(
  { document, position }: { readonly document: vscode.TextDocument; readonly position: vscode.Position },
  { word, kind }: Pick<CursorPlace, 'word' | 'kind'>,
  { engine, model, likely = [] }: { engine: EnginePort; model: string; likely?: readonly TokenCompletion[] },
): Promise<vscode.CompletionItem[]> {
  const prefix = typedToken(word);
  if (prefix === null) return [];
  const found = await engine.request('completeTokens', { model, prefix, limit: MOST_TOKENS });
  const first = prefix.trim() === '' ? likely : [];
  const tokens = [...first, ...found.filter(({ id }) => !first.some((token) => token.id === id))];
  const { range, weighed } = placeOf(document, position, word);
  return tokens.map(({ id, text }, i) => {
    const item = new vscode.CompletionItem(
      { label: visibleToken(text), description: `token ${id}` },
      vscode.CompletionItemKind.Value,
    );
    item.insertText = JSON.stringify(text) + (weighed || kind === 'value' ? '' : ': 1');
    item.range = range;
    // The engine has chosen already; what is typed may be an escape, or lack the space.
    item.filterText = word;
    item.sortText = String(i).padStart(4, '0');
    return item;
  });
}

/** Observables by name, before any token. */
export function namedItems(specs: NamedSpecs, where: string): vscode.CompletionItem[] {
  return Object.entries(specs).map(([name, spec]) => {
    const item = new vscode.CompletionItem(name, vscode.CompletionItemKind.Constant);
    item.insertText = plainText(name);
    item.detail = `${specLabel(spec)} (${where})`;
    item.sortText = ` ${name}`;
    return item;
  });
}
