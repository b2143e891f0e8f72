import * as vscode from 'vscode';
import { parsePath } from '../../core/tasks/pathText.ts';
import type { NormMode } from '../../shared/features.ts';
import { signed, visibleToken } from '../../shared/format.ts';
import type { ModelInfo } from '../../shared/modelInfo.ts';
import type { PropagationView, TraceDocument } from '../../shared/traceDocument.ts';

const normDocs: Readonly<Record<NormMode, string>> = {
  frozen: 'Its scale held as it is on this prompt: sums of contributions are exact',
  scaled: 'Gain and mean size only, √d / |x| γ, as in the paper',
  jacobian: 'Its whole gradient on this prompt, scale included',
  secant: 'Its whole value on this prompt, as a multiple of the direction',
  ignore: 'As if there were none: for the angle between features',
};

const viewDocs: Readonly<Record<PropagationView, string>> = {
  score: 'What the path reads from the token, x · y: at full attention',
  contribution: 'What reaches the observable, A · x · y: with the attention there is',
};

function wordItems(docs: Readonly<Record<string, string>>): vscode.CompletionItem[] {
  return Object.entries(docs).map(([word, detail], i) => {
    const item = new vscode.CompletionItem(word, vscode.CompletionItemKind.EnumMember);
    item.detail = detail;
    item.sortText = String(i);
    return item;
  });
}

export function normItems(): vscode.CompletionItem[] {
  return wordItems(normDocs);
}

export function viewItems(): vscode.CompletionItem[] {
  return wordItems(viewDocs);
}

interface Component {
  readonly name: string;
  readonly layer: number;
  readonly isHead: boolean;
  /** What it writes towards the observable directly, in logits; null where nothing is traced yet. */
  readonly direct: number | null;
}

type Sizes = Pick<ModelInfo, 'nLayers' | 'nHeads'>;

function componentsOf({ nLayers, nHeads }: Sizes, traced: TraceDocument | null) {
  return Array.from({ length: nLayers }, (_, layer): Component[] => [
    ...Array.from({ length: nHeads }, (_, head) => ({
      ...{ name: `L${layer}.H${head}`, layer, isHead: true },
      direct: traced?.direct.heads[layer]?.[head] ?? null,
    })),
    { name: `MLP ${layer}`, layer, isHead: false, direct: traced?.direct.mlps[layer] ?? null },
  ]).flat();
}

/** Heads and MLPs that may come next in a path, those that write most towards the observable first. */
function nextNodes(before: string, info: Sizes, traced: TraceDocument | null): Component[] {
  const later = parsePath(before).nodes.at(-1)?.node;
  const all = componentsOf(info, traced).sort((a, b) => Math.abs(b.direct ?? 0) - Math.abs(a.direct ?? 0));
  if (later === undefined) return all;
  if (later.kind === 'embedding') return [];
  return all.filter(
    ({ layer, isHead }) => layer < later.layer || (layer === later.layer && later.kind === 'mlp' && isHead),
  );
}

/** A token that a node may read: its number, or a role of the data. */
export interface PathToken {
  readonly name: string;
  readonly description: string;
}

/** The tokens of a prompt, by their numbers. */
export function promptTokens(traced: TraceDocument | null): readonly PathToken[] {
  return (traced?.tokens ?? []).map(({ text }, i) => ({ name: String(i + 1), description: visibleToken(text) }));
}

/** What may be written of a path at the cursor: nodes of the model, or behind @ a token. */
export function nodeItems(
  position: vscode.Position,
  typed: string,
  about: {
    readonly info: Pick<ModelInfo, 'nLayers' | 'nHeads'>;
    /** Of a prompt: nodes that write most towards the observable go first. */
    readonly traced: TraceDocument | null;
    readonly tokens: readonly PathToken[];
  },
): vscode.CompletionItem[] {
  const arrow = Math.max(typed.lastIndexOf('<='), typed.lastIndexOf('←'));
  const before = arrow < 0 ? '' : typed.slice(0, arrow).replace(/^[\s"']+/, '');
  const own = typed.slice(arrow < 0 ? 0 : arrow + (typed[arrow] === '<' ? 2 : 1)).replace(/^[\s"']+/, '');
  const at = own.lastIndexOf('@');
  if (at >= 0) return tokenItems(position, own.slice(at + 1), about.tokens);
  const range = new vscode.Range(position.translate(0, -own.length), position);
  const nodes = nextNodes(before, about.info, about.traced);
  const items = nodes.map(({ name, direct }, i) => {
    const item = new vscode.CompletionItem(name, vscode.CompletionItemKind.Value);
    if (direct !== null && arrow < 0) item.detail = `${signed(direct)} logits directly`;
    item.sortText = String(i).padStart(5, '0');
    item.range = range;
    return item;
  });
  if (arrow < 0) return items;
  const embedding = new vscode.CompletionItem('emb', vscode.CompletionItemKind.Value);
  embedding.detail = 'the embedding';
  embedding.range = range;
  return [...items, embedding];
}

function tokenItems(position: vscode.Position, own: string, tokens: readonly PathToken[]): vscode.CompletionItem[] {
  return tokens.map(({ name, description }, i) => {
    const item = new vscode.CompletionItem({ label: name, description }, vscode.CompletionItemKind.Value);
    item.filterText = `${name} ${description}`;
    item.sortText = String(i).padStart(5, '0');
    item.range = new vscode.Range(position.translate(0, -own.length), position);
    return item;
  });
}
