import * as vscode from 'vscode';
import { share, signed, visibleToken } from '../../shared/format.ts';
import type { NextToken, TraceDocument } from '../../shared/traceDocument.ts';
import { codeSpan } from '../markdown.ts';
import type { PromptSessions } from './promptSessions.ts';

/** `next ␣she .41  ␣he .08`; a line may break between the two tokens, never between a token and its number. */
function hintText(next: readonly NextToken[]): string {
  const [first, second] = next.map((token) => `${visibleToken(token.text)}\u00a0${share(Math.exp(token.logprob))}`);
  return `next\u00a0${[first, second].filter((text) => text !== undefined).join('\u00a0 ')}`;
}

/** A table of the candidates for the next token. */
function nextTokenTable(document: TraceDocument): string {
  const rows = document.next.map(
    (t) => `| ${codeSpan(visibleToken(t.text))} | ${share(Math.exp(t.logprob))} | ${signed(t.logit)} | ${t.id} |`,
  );
  const head = ['| next token | p | logit | id |', '|:--|--:|--:|--:|'];
  return [...head, ...rows, '', `${document.provenance.modelLabel} · after position ${document.tokens.length}`].join(
    '\n',
  );
}

/** The two most likely next tokens after each prompt. */
export class NextTokenHints implements vscode.InlayHintsProvider, vscode.Disposable {
  readonly #sessions: PromptSessions;
  readonly #changed = new vscode.EventEmitter<void>();
  readonly #subscription: vscode.Disposable;

  constructor(sessions: PromptSessions) {
    this.#sessions = sessions;
    this.#subscription = sessions.onDidChange(() => this.#changed.fire());
  }

  get onDidChangeInlayHints(): vscode.Event<void> {
    return this.#changed.event;
  }

  provideInlayHints(document: vscode.TextDocument, range: vscode.Range): vscode.InlayHint[] {
    const session = this.#sessions.get(document);
    if (!session || session.isStale) return [];
    const from = document.offsetAt(range.start);
    const to = document.offsetAt(range.end);
    return session.file.prompts.flatMap((prompt, i) => {
      const state = session.state(i);
      if (state.kind !== 'traced' || prompt.end < from || prompt.end > to) return [];
      if (state.document.next.length === 0) return [];
      const hint = new vscode.InlayHint(document.positionAt(prompt.end), hintText(state.document.next));
      hint.paddingLeft = true;
      const tooltip = new vscode.MarkdownString(nextTokenTable(state.document));
      tooltip.supportHtml = true;
      hint.tooltip = tooltip;
      return [hint];
    });
  }

  dispose(): void {
    this.#subscription.dispose();
    this.#changed.dispose();
  }
}
