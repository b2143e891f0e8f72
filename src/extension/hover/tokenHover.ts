import * as vscode from 'vscode';
import { promptIndexAt } from '../../core/tasks/promptFile.ts';
import { isCancelled, MechanistError } from '../../shared/errors.ts';
import { palettes } from '../../shared/palette.ts';
import type { LensTable, PromptToken } from '../../shared/traceDocument.ts';
import type { PromptSession } from '../promptLanguage/promptSession.ts';
import type { PromptSessions } from '../promptLanguage/promptSessions.ts';
import { abortSignalOf } from '../runWithProgress.ts';
import { themeKind } from '../theme.ts';
import { hoverCard, hoverCommands } from './hoverCard.ts';

/** After so long a hover shows what there is; the rest says "Computing…". */
const patienceMs = 5000;

/** Index of the token that holds an offset of the prompt's text; −1 for none. */
export function tokenAt(tokens: readonly PromptToken[], offset: number): number {
  let low = 0;
  let high = tokens.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const token = tokens[middle];
    if (!token) return -1;
    if (offset < token.start) high = middle - 1;
    else if (offset >= token.end) low = middle + 1;
    else return middle;
  }
  return -1;
}

function late<T>(value: T): Promise<T> {
  return new Promise((resolve) => setTimeout(() => resolve(value), patienceMs));
}

/** Explains the token under the mouse. */
export class TokenHover implements vscode.HoverProvider {
  readonly #sessions: PromptSessions;

  constructor(sessions: PromptSessions) {
    this.#sessions = sessions;
  }

  async provideHover(
    document: vscode.TextDocument,
    position: vscode.Position,
    token: vscode.CancellationToken,
  ): Promise<vscode.Hover | undefined> {
    const session = this.#sessions.get(document);
    if (!session) return undefined;
    const { signal, dispose } = abortSignalOf(token);
    try {
      return await this.#explain(document, session, document.offsetAt(position), signal);
    } catch (error) {
      if (isCancelled(error)) return undefined;
      const reason = error instanceof MechanistError ? error.message : 'Something unexpected went wrong; see the log.';
      return new vscode.Hover(new vscode.MarkdownString().appendText(reason));
    } finally {
      dispose();
    }
  }

  async #explain(
    document: vscode.TextDocument,
    session: PromptSession,
    offset: number,
    signal: AbortSignal,
  ): Promise<vscode.Hover | undefined> {
    if (session.isStale) session.refresh();
    const index = promptIndexAt(session.file, offset);
    const prompt = session.file.prompts[index];
    if (!prompt || offset < prompt.start || offset >= prompt.end) return undefined;
    const trace = await Promise.race([session.traced(index, signal), late('late' as const)]);
    if (trace === 'late') return new vscode.Hover('Computing…');
    if (trace === null) return undefined;
    const at = tokenAt(trace.tokens, prompt.fromOffset(offset));
    const request = session.request(index);
    const token = trace.tokens[at];
    if (!token || !request) return undefined;
    const lens = await Promise.race([
      session.lens(request, at, signal).catch((error: unknown): LensTable | string => {
        if (isCancelled(error) || !(error instanceof MechanistError)) throw error;
        return error.message;
      }),
      late('Computing…'),
    ]);
    const card = new vscode.MarkdownString(
      hoverCard({
        document: trace,
        token: at,
        lens,
        scaleMax: session.scaleMax,
        palette: palettes[themeKind()],
        target: { uri: document.uri.toString(), prompt: index },
      }),
    );
    card.supportHtml = true;
    card.isTrusted = { enabledCommands: hoverCommands };
    const start = document.positionAt(prompt.toOffset(token.start));
    return new vscode.Hover(card, new vscode.Range(start, document.positionAt(prompt.toOffset(token.end))));
  }
}
