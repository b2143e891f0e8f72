import * as vscode from 'vscode';
import { plainText } from '../../core/tasks/editFrontMatter.ts';
import { type CursorPlace, placeAt } from '../../core/tasks/experiment/experimentCursor.ts';
import type { ExperimentFile } from '../../core/tasks/experiment/experimentTypes.ts';
import { observableFormat } from '../../core/tasks/experiment/observableRefs.ts';
import { pathFormat } from '../../core/tasks/experiment/pathRefs.ts';
import type { EnginePort } from '../engineClient.ts';
import { folderOf } from '../files.ts';
import type { ModelDirectory } from '../modelDirectory.ts';
import { listingDetail } from '../promptLanguage/frontMatterHelp.ts';
import { nodeItems } from '../promptLanguage/propagationHelp.ts';
import { modelNamedIn, namedItems, tokenItems } from '../promptLanguage/tokenCompletion.ts';
import { readPromptSettings } from '../settings.ts';
import { DataNamesReader, filesBeside } from './dataNames.ts';
import type { ExperimentDocuments } from './experimentDocuments.ts';
import { SchemaWalk, type SchemaWord } from './schemaWalk.ts';
import type { StepResults } from './stepResults.ts';

/** So many values of a result are offered for an expectation. */
const MOST_VALUES = 500;

interface Asked {
  readonly document: vscode.TextDocument;
  readonly file: ExperimentFile;
  readonly place: CursorPlace;
  readonly kind: string | null;
  /** From the word's start to the cursor. */
  readonly range: vscode.Range;
}

/** The analysis that a step names: `run: patch-residual`. */
function kindOf(step: string): string | null {
  return /(?:^|[\s{,])run:\s*["']?([\w-]+)/.exec(step)?.[1] ?? null;
}

/** Completion and documentation in experiment files, from the schema, the data, the models and the results. */
export class ExperimentHelp implements vscode.CompletionItemProvider, vscode.HoverProvider {
  readonly #walk: SchemaWalk;
  readonly #data = new DataNamesReader();

  constructor(
    private readonly documents: ExperimentDocuments,
    private readonly results: StepResults,
    private readonly models: ModelDirectory,
    private readonly engine: EnginePort,
  ) {
    this.#walk = new SchemaWalk(documents.schema);
  }

  async provideCompletionItems(
    document: vscode.TextDocument,
    position: vscode.Position,
  ): Promise<vscode.CompletionItem[] | vscode.CompletionList> {
    const place = placeAt(document.getText(), document.offsetAt(position));
    if (place === null) return [];
    const range = new vscode.Range(document.positionAt(place.start), position);
    const asked: Asked = { document, file: this.documents.file(document), place, kind: kindOf(place.step), range };
    if (this.#hasFormat(asked, pathFormat)) return await this.#nodes(asked, position);
    if (this.#isObservable(asked)) return await this.#observables(asked, position);
    const items = place.kind === 'key' ? this.#keys(asked) : await this.#values(asked);
    for (const item of items) item.range = range;
    return items;
  }

  provideHover(document: vscode.TextDocument, position: vscode.Position): vscode.Hover | undefined {
    const word = document.getWordRangeAtPosition(position, /[\w.-]+/);
    if (!word) return undefined;
    const text = document.getText(word);
    const place = placeAt(document.getText(), document.offsetAt(word.end));
    if (place === null) return undefined;
    const kind = kindOf(place.step);
    const isRun = place.path.join(' ') === 'steps - run' || place.path.join(' ') === 'steps -';
    const analysis = isRun ? this.#walk.kinds().find(({ name }) => name === text) : undefined;
    const description = analysis?.description ?? this.#walk.description([...place.path, text], kind);
    if (description === '') return undefined;
    return new vscode.Hover(new vscode.MarkdownString(`**${text}** — ${description}`), word);
  }

  #keys({ document, file, place, kind }: Asked): vscode.CompletionItem[] {
    const { path } = place;
    if (path[0] === 'expect' && path.length <= 2) return this.#expectations(document, file);
    const analyses =
      path.join(' ') === 'steps -' && place.step.trim() === `- ${place.word}`.trim() ? this.#analyses() : [];
    const present = path.length === 0 ? topKeys(document.getText()) : new Set<string>();
    const keys = this.#walk.keys(path, kind).filter(({ name }) => !present.has(name));
    return [...keys.map((word, i) => keyItem(word, i)), ...analyses];
  }

  async #values(asked: Asked): Promise<vscode.CompletionItem[]> {
    const { document, file, place, kind } = asked;
    const path = place.path.join(' ');
    const { fsPath } = document.uri;
    if (path === 'model') return await this.#modelItems();
    if (path === 'data' || path === 'data file') return valueItems(await filesBeside(fsPath, '.jsonl'), 'dataset');
    if (path === 'steps - run' || path === 'steps -') return this.#analyses();
    if (place.path[0] === 'expect' && place.path.at(-1) === 'step') {
      return valueItems(
        file.steps.map(({ name }) => name),
        'step',
      );
    }
    const key = [...place.path].reverse().find((part) => part !== '-') ?? '';
    const names = await this.#data.of(file.data?.value.file, fsPath);
    const words = this.#walk.values(place.path, kind);
    if (/corrupt/.test(key))
      return [...valueItems(words, ''), ...valueItems(names.corruptions, 'corruption of the data')];
    if (/^(?:roles?|at|positions?)$/.test(key))
      return [...valueItems(words, ''), ...valueItems(names.roles, 'role of the data')];
    if (/^answers?$/.test(key)) return valueItems(names.answers, 'answer of the data');
    if (/circuit|heads|reference/.test(key)) {
      const earlier = file.steps.map(({ name }) => name);
      const files = await filesBeside(fsPath, '.circuit.json');
      return [...valueItems(words, ''), ...valueItems(files, 'circuit'), ...valueItems(earlier, 'circuit of a step')];
    }
    return valueItems(words, '');
  }

  /** Whether an observable is being written: below `observables:`, or in a parameter that is one. */
  #isObservable(asked: Asked): boolean {
    const { place } = asked;
    const { path } = place;
    if (path[0] === 'observables') return path.length === 2 && place.kind === 'key';
    return this.#hasFormat(asked, observableFormat);
  }

  #hasFormat({ place, kind }: Asked, wanted: string): boolean {
    return this.#walk.at(place.path, kind).some(({ format }) => format === wanted);
  }

  /** Nodes of a path in the experiment's model; behind @ the roles of the data. */
  async #nodes({ document, file, place }: Asked, position: vscode.Position): Promise<vscode.CompletionItem[]> {
    const model = await this.#model(document);
    if (model === null) return [];
    const info = await this.models.info(model).catch(() => null);
    if (info === null) return [];
    const { roles } = await this.#data.of(file.data?.value.file, document.uri.fsPath);
    const tokens = roles.map((name) => ({ name, description: 'role of the data' }));
    return nodeItems(position, place.word, { info, traced: null, tokens });
  }

  /** The model that the file names, also while something else in it is broken; null where there is none. */
  async #model(document: vscode.TextDocument): Promise<string | null> {
    return await this.models.find(modelNamedIn(document.getText()) ?? '', '', folderOf(document));
  }

  /** Names, and tokens of the experiment's model; asked anew with each letter. */
  async #observables({ document, file, place }: Asked, position: vscode.Position): Promise<vscode.CompletionList> {
    const named = place.kind === 'value' && place.path[0] === 'steps';
    const own = Object.fromEntries(file.observables.flatMap((o) => (o.shared ? [] : [[o.name, o.spec]])));
    const names = named
      ? [...namedItems(own, 'this file'), ...namedItems(readPromptSettings(document).observables.specs, 'settings')]
      : [];
    // A text in a parameter is a name; tokens stand in a map.
    const model = place.kind === 'value' ? null : await this.#model(document);
    if (model === null) return new vscode.CompletionList(names);
    const asked = { engine: this.engine, model };
    const tokens = await tokenItems({ document, position }, place, asked).catch(() => []);
    return new vscode.CompletionList<vscode.CompletionItem>(tokens, true);
  }

  #analyses(): vscode.CompletionItem[] {
    return this.#walk.kinds().map(({ name, description }) => {
      const item = new vscode.CompletionItem(name, vscode.CompletionItemKind.Function);
      item.documentation = new vscode.MarkdownString(description);
      return item;
    });
  }

  #expectations(document: vscode.TextDocument, file: ExperimentFile): vscode.CompletionItem[] {
    return file.steps.flatMap(({ name }) => {
      const values = Object.entries(this.results.of(document).steps.get(name)?.values ?? {});
      return values.slice(0, MOST_VALUES).map(([value, number]) => {
        const item = new vscode.CompletionItem(`${name} ${value}`, vscode.CompletionItemKind.Value);
        item.insertText = `${name} ${value}: ${number.toPrecision(3)}`;
        item.detail = String(number);
        return item;
      });
    });
  }

  async #modelItems(): Promise<vscode.CompletionItem[]> {
    const listings = await this.models.list().catch(() => []);
    return listings.map((listing) => {
      const item = new vscode.CompletionItem(listing.ref, vscode.CompletionItemKind.Value);
      item.detail = listingDetail(listing);
      item.sortText = `${listing.state === 'remote' ? 1 : 0}${listing.ref}`;
      return item;
    });
  }
}

function topKeys(text: string): ReadonlySet<string> {
  return new Set([...text.matchAll(/^(\w+):/gm)].map(([, key]) => key));
}

function keyItem({ name, description }: SchemaWord, order: number): vscode.CompletionItem {
  const item = new vscode.CompletionItem(name, vscode.CompletionItemKind.Property);
  item.insertText = `${name}: `;
  item.documentation = new vscode.MarkdownString(description);
  item.sortText = String(order).padStart(3, '0');
  item.command = { command: 'editor.action.triggerSuggest', title: '' };
  return item;
}

function valueItems(words: readonly string[], detail: string): vscode.CompletionItem[] {
  return words.map((word) => {
    const item = new vscode.CompletionItem(word, vscode.CompletionItemKind.EnumMember);
    item.insertText = plainText(word);
    if (detail !== '') item.detail = detail;
    return item;
  });
}
