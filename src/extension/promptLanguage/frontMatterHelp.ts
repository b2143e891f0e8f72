import * as vscode from 'vscode';
import { observableText } from '../../core/tasks/editFrontMatter.ts';
import { type CursorPlace, placeAt } from '../../core/tasks/experiment/experimentCursor.ts';
import { attributionMethods, type FrontMatterKey, frontMatterKeys } from '../../core/tasks/frontMatter.ts';
import { observablesSetting } from '../../core/tasks/namedObservables.ts';
import { bytes } from '../../shared/format.ts';
import type { MemoryForecast, ModelListing } from '../../shared/modelInfo.ts';
import type { AttributionMethod } from '../../shared/traceDocument.ts';
import type { EnginePort } from '../engineClient.ts';
import { folderOf } from '../files.ts';
import type { ModelDirectory } from '../modelDirectory.ts';
import { firstTrace } from './firstTrace.ts';
import type { PromptSession } from './promptSession.ts';
import type { PromptSessions } from './promptSessions.ts';
import { nodeItems, normItems, promptTokens, viewItems } from './propagationHelp.ts';
import { modelNamedIn, namedItems, tokenItems } from './tokenCompletion.ts';

const keyDocs: Readonly<Record<FrontMatterKey, string>> = {
  model:
    'The model that reads the prompts: a catalogue id (`smollm2-135m`), a folder with `config.json`, or a `.gguf` file. Paths may be relative to this file. Without it the setting `mechanist.model` holds.',
  observable:
    'What is explained: a weighted sum of logits, `{ " she": 1, " he": -1 }`. Each key is the text of one token, its leading space included. A single word names an observable of the setting `mechanist.observables`, or is one token. Without it: the most likely next token minus the second.',
  position: 'Where the observable is read: `last`, or a token counted from 1; −1 is the last one.',
  method:
    "How tokens are scored. `direct`: direct logit attribution split over source tokens, attention and norm scale frozen. `occlusion`: the observable minus its value with the token's embedding replaced by the mean embedding.",
  node: 'Of the method `observable-propagation`: the path along which the observable is taken back, nearest the logits first: `L9.H6`, or `L9.H6@4 <= MLP 3`. `@4` is the token that a node reads, from 1. Without it: the head that adds most directly.',
  norm: 'Of the method `observable-propagation`: how norms are gone through. `frozen` (usual), `scaled`, `jacobian`, `secant` or `ignore`.',
  view: 'Of the method `observable-propagation`: `score`, what the path reads from a token at full attention, or `contribution`, what reaches the observable with the attention there is.',
  corrupted: 'The corrupted prompt, or a list with one for each prompt. Kept for analyses that compare runs.',
  answers: 'Tokens that count as answers. Kept for analyses that score them.',
};

const methodDocs: Readonly<Record<AttributionMethod, string>> = {
  direct: 'Direct logit attribution, one forward pass',
  occlusion: 'Token replaced by the mean embedding, one forward pass for each token',
  'gradient-times-input': 'Embedding times gradient, three forward passes',
  'integrated-gradients': 'Gradients on the way from the mean embedding, about a hundred forward passes',
  'observable-propagation': 'What one head or path reads from each token along the observable, one forward pass',
};

/** What follows a key that was just chosen, in VS Code's snippet syntax. */
const tab = (index: number, text = '') => (text === '' ? `$${index}` : `\${${index}:${text}}`);
const valueSnippets: Readonly<Record<FrontMatterKey, string>> = {
  model: `model: ${tab(0)}`,
  observable: `observable: { "${tab(1, ' she')}": 1, "${tab(2, ' he')}": -1 }`,
  position: `position: ${tab(0, 'last')}`,
  method: `method: ${tab(0)}`,
  node: `node: ${tab(0)}`,
  norm: `norm: ${tab(0)}`,
  view: `view: ${tab(0)}`,
  corrupted: `corrupted: ${tab(0)}`,
  answers: `answers: ["${tab(1, ' she')}"]`,
};

/** `fits in memory: 0.8 GB of 7.1` */
function memoryNote(memory: MemoryForecast | null): string {
  if (memory === null) return '';
  const [needed, available] = [memory.neededBytes, memory.availableBytes].map((size) => (size / 1e9).toFixed(1));
  return `${memory.fits ? 'fits' : 'does not fit'} in memory: ${needed} GB of ${available}`;
}

/** `98 MB to download, Apache-2.0, fits in memory: 0.8 GB of 7.1` */
export function listingDetail(listing: ModelListing): string {
  const where = {
    bundled: 'comes with Mechanist',
    ready: 'on this machine',
    remote: listing.downloadBytes === null ? 'to download' : `${bytes(listing.downloadBytes)} to download`,
    missing: 'no longer where it was',
  }[listing.state];
  return [where, listing.licence, memoryNote(listing.memory), listing.note].filter(Boolean).join(', ');
}

function keyItems(present: ReadonlySet<string>): vscode.CompletionItem[] {
  return frontMatterKeys
    .filter((key) => !present.has(key))
    .map((key, i) => {
      const item = new vscode.CompletionItem(key, vscode.CompletionItemKind.Property);
      item.insertText = new vscode.SnippetString(valueSnippets[key]);
      item.documentation = new vscode.MarkdownString(keyDocs[key]);
      item.sortText = String(i);
      if (['model', 'method', 'node', 'norm', 'view'].includes(key))
        item.command = { command: 'editor.action.triggerSuggest', title: '' };
      return item;
    });
}

function modelItems(listings: readonly ModelListing[]): vscode.CompletionItem[] {
  return listings.map((listing) => {
    const item = new vscode.CompletionItem(listing.ref, vscode.CompletionItemKind.Value);
    item.detail = listingDetail(listing);
    item.sortText = `${listing.state === 'remote' ? 1 : 0}${listing.ref}`;
    return item;
  });
}

function methodItems(): vscode.CompletionItem[] {
  return attributionMethods.map((method) => {
    const item = new vscode.CompletionItem(method, vscode.CompletionItemKind.EnumMember);
    item.detail = methodDocs[method];
    return item;
  });
}

/** Completion and documentation for the settings at the head of a prompt file. */
export class FrontMatterHelp implements vscode.CompletionItemProvider, vscode.HoverProvider {
  readonly #sessions: PromptSessions;
  readonly #models: ModelDirectory;
  readonly #engine: EnginePort;

  constructor(sessions: PromptSessions, models: ModelDirectory, engine: EnginePort) {
    this.#sessions = sessions;
    this.#models = models;
    this.#engine = engine;
  }

  async provideCompletionItems(
    document: vscode.TextDocument,
    position: vscode.Position,
  ): Promise<vscode.CompletionItem[] | vscode.CompletionList> {
    const lines = frontMatterLines(document, position.line);
    if (!lines) return [];
    const first = new vscode.Position(1, 0);
    const yaml = document.getText(new vscode.Range(first, new vscode.Position(1 + lines.length, 0)));
    const place = placeAt(yaml, document.offsetAt(position) - document.offsetAt(first));
    if (place?.path[0] === 'observable') return await this.#observables(document, position, place, yaml);
    const before = document.lineAt(position.line).text.slice(0, position.character);
    const key = /^(\w+):\s*/.exec(before)?.[1];
    if (key === 'model') return modelItems(await this.#models.list().catch(() => []));
    if (key === 'method') return methodItems();
    if (key === 'norm') return normItems();
    if (key === 'view') return viewItems();
    if (key === 'node') return await this.#nodes(document, position, before.replace(/^\w+:\s*/, ''), yaml);
    if (key === 'position') return [new vscode.CompletionItem('last', vscode.CompletionItemKind.EnumMember)];
    if (!/^\w*$/.test(before)) return [];
    const present = new Set(lines.flatMap((line) => /^(\w+):/.exec(line)?.[1] ?? []));
    return keyItems(present);
  }

  async #nodes(
    document: vscode.TextDocument,
    position: vscode.Position,
    typed: string,
    yaml: string,
  ): Promise<vscode.CompletionItem[]> {
    const session = this.#sessions.get(document);
    const model = session && (await this.#model(document, session, yaml));
    const info = model && (await this.#models.info(model).catch(() => null));
    const traced = session ? firstTrace(session) : null;
    return info ? nodeItems(position, typed, { info, traced, tokens: promptTokens(traced) }) : [];
  }

  /** The model in force, also while something in the front matter is broken; null where there is none. */
  async #model(document: vscode.TextDocument, { settings }: PromptSession, yaml: string): Promise<string | null> {
    return await this.#models.find(modelNamedIn(yaml) ?? settings.model, settings.fallbackModel, folderOf(document));
  }

  /** Names of the settings, and tokens of the model; asked anew with each letter. */
  async #observables(
    document: vscode.TextDocument,
    position: vscode.Position,
    place: CursorPlace,
    yaml: string,
  ): Promise<vscode.CompletionList> {
    const session = this.#sessions.get(document);
    if (!session || place.path.length > 1) return new vscode.CompletionList();
    const names = place.kind === 'value' ? namedItems(session.settings.observables.specs, 'settings') : [];
    const model = await this.#model(document, session, yaml);
    if (model === null) return new vscode.CompletionList(names);
    const likely = firstTrace(session)?.next ?? [];
    const asked = { engine: this.#engine, model, likely };
    const tokens = await tokenItems({ document, position }, place, asked).catch(() => []);
    return new vscode.CompletionList([...names, ...tokens], true);
  }

  provideHover(document: vscode.TextDocument, position: vscode.Position): vscode.Hover | undefined {
    const frontMatter = this.#sessions.get(document)?.file.frontMatter;
    if (!frontMatter || document.offsetAt(position) > frontMatter.end) return undefined;
    const named = frontMatter.observable;
    if (named?.named && named.word !== undefined) {
      const place = new vscode.Range(document.positionAt(named.start), document.positionAt(named.end));
      const text = `\`${observableText(named.value)}\`, of the setting \`${observablesSetting}\``;
      if (place.contains(position))
        return new vscode.Hover(new vscode.MarkdownString(`**${named.word}** — ${text}`), place);
    }
    const word = document.getWordRangeAtPosition(position, /^\w+(?=:)/);
    const key = frontMatterKeys.find((k) => word !== undefined && k === document.getText(word));
    if (word?.start.character !== 0 || !key) return undefined;
    return new vscode.Hover(new vscode.MarkdownString(`**${key}** — ${keyDocs[key]}`), word);
  }
}

/** The lines of the front matter if `line` is one of them; also while it is not closed yet. */
function frontMatterLines(document: vscode.TextDocument, line: number): string[] | null {
  if (line === 0 || document.lineAt(0).text.trimEnd() !== '---') return null;
  const lines: string[] = [];
  for (let i = 1; i < Math.min(document.lineCount, 200); i++) {
    const { text } = document.lineAt(i);
    if (text.trimEnd() === '---') return i > line ? lines : null;
    lines.push(text);
  }
  return lines;
}
