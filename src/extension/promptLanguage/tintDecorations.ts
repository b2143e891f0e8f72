import * as vscode from 'vscode';
import { tokenColors } from '../../shared/contributions.ts';
import { isHighContrastTheme } from '../theme.ts';
import type { PromptSession } from './promptSession.ts';
import type { PromptSessions } from './promptSessions.ts';
import { tintRanges, tintSteps } from './tint.ts';

/** In high contrast there is no fill: sign is a solid (+) or dashed (−) underline, size its width. */
function underline(step: number, color: string): string {
  const width = Math.ceil((Math.abs(step) / tintSteps) * 3);
  const variable = `var(--vscode-${color.replaceAll('.', '-')})`;
  return `underline ${step > 0 ? 'solid' : 'dashed'} ${variable} ${width}px; text-underline-offset: 2px`;
}

function decorationType(step: number, highContrast: boolean): vscode.TextEditorDecorationType {
  const color = tokenColors[step > 0 ? 'positive' : 'negative'][Math.abs(step) - 1] ?? '';
  return vscode.window.createTextEditorDecorationType({
    rangeBehavior: vscode.DecorationRangeBehavior.ClosedClosed,
    ...(highContrast ? { textDecoration: underline(step, color) } : { backgroundColor: new vscode.ThemeColor(color) }),
  });
}

/** Tints the tokens of prompt files: one decoration type for each step of the scale. */
export class TintDecorations implements vscode.Disposable {
  readonly #sessions: PromptSessions;
  readonly #disposables: vscode.Disposable[];
  #types = new Map<number, vscode.TextEditorDecorationType>();
  #highContrast = isHighContrastTheme();

  constructor(sessions: PromptSessions) {
    this.#sessions = sessions;
    this.#makeTypes();
    this.#disposables = [
      sessions.onDidChange(({ document, session }) => {
        for (const editor of vscode.window.visibleTextEditors) {
          if (editor.document === document) this.#paint(editor, session);
        }
      }),
      vscode.window.onDidChangeVisibleTextEditors(() => this.#paintAll()),
      vscode.window.onDidChangeActiveColorTheme(() => this.#themeChanged()),
    ];
    this.#paintAll();
  }

  dispose(): void {
    for (const disposable of this.#disposables) disposable.dispose();
    for (const type of this.#types.values()) type.dispose();
  }

  #makeTypes(): void {
    for (const type of this.#types.values()) type.dispose();
    this.#types = new Map();
    for (let step = -tintSteps; step <= tintSteps; step++) {
      if (step !== 0) this.#types.set(step, decorationType(step, this.#highContrast));
    }
  }

  #themeChanged(): void {
    if (isHighContrastTheme() === this.#highContrast) return;
    this.#highContrast = !this.#highContrast;
    this.#makeTypes();
    this.#paintAll();
  }

  #paintAll(): void {
    for (const editor of vscode.window.visibleTextEditors) {
      const session = this.#sessions.get(editor.document);
      if (session) this.#paint(editor, session);
    }
  }

  #paint(editor: vscode.TextEditor, session: PromptSession): void {
    // Between an edit and the next reading VS Code itself moves the ranges along.
    if (session.isStale) return;
    const { document } = editor;
    const ranges = tintRanges(session.settings.tintEnabled ? session.shown : [], session.scaleMax);
    for (const [step, type] of this.#types) {
      const places = ranges[step + tintSteps] ?? [];
      editor.setDecorations(
        type,
        places.map(({ start, end }) => new vscode.Range(document.positionAt(start), document.positionAt(end))),
      );
    }
  }
}
