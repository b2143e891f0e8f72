import * as vscode from 'vscode';
import { resultEditorType } from '../../shared/contributions.ts';
import { MechanistError } from '../../shared/errors.ts';
import { type ResultDocument, resultFromJson } from '../../shared/figuresFile.ts';
import type { GridDocument } from '../../shared/gridDocument.ts';
import { type FiguresContext, FiguresPanel } from '../results/figuresPanel.ts';
import { type GridContext, GridPanel } from './gridPanel.ts';
import { nameOf, readText } from './resultFiles.ts';

class ResultFile implements vscode.CustomDocument {
  constructor(readonly uri: vscode.Uri) {}
  dispose(): void {}
}

/** What an editor of a result can be asked to show. */
interface Shown {
  readonly shows: 'grid' | 'figures';
  readonly show: (document: ResultDocument) => void;
  readonly fail: (why: string) => void;
  /** Gives the page free for another view. */
  readonly dispose: () => void;
}

/** Whether a read file is newer than what a heat-map shows. Our own save of a resumed run arrives here as well. */
function isNews(shown: GridDocument | null, document: GridDocument): boolean {
  const same = shown?.provenance.hash === document.provenance.hash && shown.complete === document.complete;
  return !same || shown?.complete === false;
}

/** Shows `*.mechanist.json` as the figures they are; what cannot be shown is said in words. */
export class ResultEditor implements vscode.CustomReadonlyEditorProvider<ResultFile>, vscode.Disposable {
  readonly #context: GridContext & FiguresContext;
  readonly #registration: vscode.Disposable;

  constructor(context: GridContext & FiguresContext) {
    this.#context = context;
    this.#registration = vscode.window.registerCustomEditorProvider(resultEditorType, this, {
      supportsMultipleEditorsPerDocument: true,
    });
  }

  dispose(): void {
    this.#registration.dispose();
  }

  openCustomDocument(uri: vscode.Uri): ResultFile {
    return new ResultFile(uri);
  }

  async resolveCustomEditor({ uri }: ResultFile, panel: vscode.WebviewPanel): Promise<void> {
    let shown: Shown | undefined;
    const load = async () => {
      try {
        const document = resultFromJson(await readText(uri));
        const wanted = document.kind === 'grid' ? 'grid' : 'figures';
        if (shown?.shows !== wanted) {
          shown?.dispose();
          shown = wanted === 'grid' ? this.#grid(uri, panel) : this.#figures(uri, panel);
        }
        shown.show(document);
      } catch (error) {
        this.#context.log(`${uri.fsPath}: ${String(error)}`);
        const why = error instanceof MechanistError ? error.message : 'The file could not be read. Is it still there?';
        shown ??= this.#figures(uri, panel);
        shown.fail(why);
      }
    };
    const watcher = vscode.workspace.createFileSystemWatcher(
      new vscode.RelativePattern(vscode.Uri.joinPath(uri, '..'), nameOf(uri)),
    );
    const listening = [watcher, watcher.onDidChange(load), watcher.onDidCreate(load)];
    panel.onDidDispose(() => vscode.Disposable.from(...listening).dispose());
    await load();
  }

  #grid(uri: vscode.Uri, panel: vscode.WebviewPanel): Shown {
    const grid = new GridPanel(this.#context, panel, nameOf(uri), { uri, runAgain: null, openItem: null });
    const { model } = grid;
    // A sweep that is going on is newer than what the file has.
    const running = () => model.state.status === 'running';
    return {
      shows: 'grid',
      show: (document) => {
        if (document.kind === 'grid' && !running() && isNews(model.state.document, document))
          model.show(document, nameOf(uri));
      },
      fail: (why) => running() || model.fail(why),
      dispose: () => grid.dispose(),
    };
  }

  #figures(uri: vscode.Uri, panel: vscode.WebviewPanel): Shown {
    const figures = new FiguresPanel(this.#context, panel, nameOf(uri), uri);
    return {
      shows: 'figures',
      show: (document) => {
        if (document.kind !== 'grid') figures.show({ document, error: null });
      },
      fail: (error) => figures.show({ error }),
      dispose: () => figures.dispose(),
    };
  }
}
