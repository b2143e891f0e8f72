import * as vscode from 'vscode';
import type { PropagationDetail } from '../../shared/traceDocument.ts';
import { describeAbsent } from '../modelDirectory.ts';
import { isHighContrastTheme } from '../theme.ts';
import { firstTrace } from './firstTrace.ts';
import { type LegendPiece, legendPieces } from './legend.ts';
import type { PromptSession } from './promptSession.ts';
import type { PromptSessions } from './promptSessions.ts';
import { propagationSentence } from './propagationText.ts';
import { beyondEnd } from './tint.ts';

const legendLength = 9;
/** Right of the file's own items, left of the language. */
const legendPriority = 120;

function makeLegend(): vscode.StatusBarItem[] {
  return Array.from({ length: legendLength }, (_, i) => {
    const id = `mechanist.legend.${i}`;
    const item = vscode.window.createStatusBarItem(id, vscode.StatusBarAlignment.Right, legendPriority - i * 0.01);
    item.name = `Mechanist Legend ${i + 1}`;
    item.command = 'mechanist.changeObservable';
    return item;
  });
}

/** Legend of the tint and the model in force, for the prompt file of the active editor or panel. */
export class PromptStatusBar implements vscode.Disposable {
  readonly #sessions: PromptSessions;
  readonly #legend = makeLegend();
  readonly #model: vscode.StatusBarItem;
  readonly #disposables: vscode.Disposable[];

  constructor(sessions: PromptSessions) {
    this.#sessions = sessions;
    this.#model = vscode.window.createStatusBarItem(
      'mechanist.model',
      vscode.StatusBarAlignment.Right,
      legendPriority - 1,
    );
    this.#model.name = 'Mechanist Model';
    this.#model.command = 'mechanist.chooseModel';
    this.#disposables = [
      sessions.onDidChange(({ document }) => {
        if (sessions.activeDocument === document) this.#update();
      }),
      vscode.window.onDidChangeActiveTextEditor(() => this.#update()),
      sessions.onDidChangePanel(() => this.#update()),
      vscode.window.onDidChangeActiveColorTheme(() => this.#update()),
      this.#model,
      ...this.#legend,
    ];
    this.#update();
  }

  dispose(): void {
    for (const disposable of this.#disposables) disposable.dispose();
  }

  #update(): void {
    const document = this.#sessions.activeDocument;
    const session = document && this.#sessions.get(document);
    this.#showModel(session);
    const trace = session ? firstTrace(session) : null;
    const tinted = session?.settings.tintEnabled === true && trace !== null;
    const max = session?.scaleMax ?? 1;
    this.#showLegend(
      tinted ? legendPieces(trace, max, beyondEnd(session.shown, max), isHighContrastTheme()) : [],
      trace?.observable.label ?? '',
      trace?.propagation,
    );
  }

  #showLegend(pieces: readonly LegendPiece[], observable: string, propagation?: PropagationDetail): void {
    const what = propagation
      ? propagationSentence(propagation, observable)
      : `What each token adds to ${observable}, in logits.`;
    this.#legend.forEach((item, i) => {
      const piece = pieces[i];
      if (!piece) {
        item.hide();
        return;
      }
      item.text = piece.text;
      item.color = piece.color === null ? undefined : new vscode.ThemeColor(piece.color);
      item.tooltip = `${what} Click to change the observable.`;
      item.accessibilityInformation = { label: i === 0 ? `Scale of ${observable}, ${piece.text}` : piece.text };
      item.show();
    });
  }

  #showModel(session: PromptSession | undefined): void {
    const choice = session?.choice;
    if (!session || !choice) {
      this.#model.hide();
      return;
    }
    const provenance = firstTrace(session)?.provenance;
    const insteadOf = choice.kind === 'use' ? choice.insteadOf : choice.absent;
    const label = choice.kind === 'use' ? (provenance?.modelLabel ?? choice.label) : 'no model';
    this.#model.text = insteadOf ? `$(warning) ${label} instead of ${insteadOf.name}` : `$(chip) ${label}`;
    if (choice.kind === 'absent') this.#model.text = `$(warning) no model`;
    const lines = insteadOf ? [`${describeAbsent(insteadOf)}.`] : [];
    if (provenance) {
      const patches = provenance.patches.length > 0 ? provenance.patches.join(', ') : 'no patches';
      lines.push(`${label}, ${provenance.family}, ${patches}, ${provenance.dtype}, BOS ${provenance.bos}`);
      lines.push(`sha256 ${provenance.modelHash}`);
    }
    this.#model.tooltip = [...lines, 'Click to choose a model.'].join('\n');
    this.#model.show();
  }
}
