import * as vscode from 'vscode';
import { resultEditorType } from '../../shared/contributions.ts';
import { MechanistError } from '../../shared/errors.ts';
import { gridFromJson } from '../../shared/gridFile.ts';
import { type GridContext, GridPanel } from './gridPanel.ts';
import { nameOf, readText } from './resultFiles.ts';

class ResultDocument implements vscode.CustomDocument {
  constructor(readonly uri: vscode.Uri) {}
  dispose(): void {}
}

/** Shows `*.mechanist.json` as the figures they are; what cannot be shown is said in words. */
export class ResultEditor implements vscode.CustomReadonlyEditorProvider<ResultDocument>, vscode.Disposable {
  readonly #context: GridContext;
  readonly #registration: vscode.Disposable;

  constructor(context: GridContext) {
    this.#context = context;
    this.#registration = vscode.window.registerCustomEditorProvider(resultEditorType, this, {
      supportsMultipleEditorsPerDocument: true,
    });
  }

  dispose(): void {
    this.#registration.dispose();
  }

  openCustomDocument(uri: vscode.Uri): ResultDocument {
    return new ResultDocument(uri);
  }

  async resolveCustomEditor({ uri }: ResultDocument, panel: vscode.WebviewPanel): Promise<void> {
    const grid = new GridPanel(this.#context, panel, nameOf(uri), { uri, runAgain: null, openItem: null });
    const load = async () => {
      try {
        const document = gridFromJson(await readText(uri));
        // Our own save of a resumed run arrives here as well; it is what is shown.
        const shown = grid.model.state.document;
        const same = shown?.provenance.hash === document.provenance.hash && shown.complete === document.complete;
        if (!same || shown.complete === false) grid.model.show(document, nameOf(uri));
      } catch (error) {
        this.#context.log(`${uri.fsPath}: ${String(error)}`);
        const why = error instanceof MechanistError ? error.message : 'The file could not be read. Is it still there?';
        grid.model.fail(why);
      }
    };
    const watcher = vscode.workspace.createFileSystemWatcher(
      new vscode.RelativePattern(vscode.Uri.joinPath(uri, '..'), nameOf(uri)),
    );
    // A sweep that is going on is newer than what the file has.
    const changed = () => (grid.model.state.status === 'running' ? undefined : load());
    const listening = [watcher, watcher.onDidChange(changed), watcher.onDidCreate(changed)];
    panel.onDidDispose(() => vscode.Disposable.from(...listening).dispose());
    await load();
  }
}
