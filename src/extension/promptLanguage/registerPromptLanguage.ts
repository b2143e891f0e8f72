import * as vscode from 'vscode';
import { promptLanguageId } from '../../shared/contributions.ts';
import type { EnginePort } from '../engineClient.ts';
import { TokenHover } from '../hover/tokenHover.ts';
import type { ModelDirectory } from '../modelDirectory.ts';
import { PromptCodeLens } from './codeLens.ts';
import { publishDiagnostics } from './diagnostics.ts';
import { FrontMatterHelp } from './frontMatterHelp.ts';
import { NextTokenHints } from './inlayHints.ts';
import type { PromptSessions } from './promptSessions.ts';
import { PromptQuickFixes } from './quickFixes.ts';
import { PromptStatusBar } from './statusBar.ts';
import { PromptSymbols } from './symbols.ts';
import { TintDecorations } from './tintDecorations.ts';

/** Everything that is seen in and around a prompt file. */
export function registerPromptLanguage(
  sessions: PromptSessions,
  models: ModelDirectory,
  engine: EnginePort,
): vscode.Disposable {
  const { languages } = vscode;
  const selector = { language: promptLanguageId };
  const codeLens = new PromptCodeLens(sessions);
  const hints = new NextTokenHints(sessions);
  const help = new FrontMatterHelp(sessions, models, engine);
  const quickFixes = { providedCodeActionKinds: PromptQuickFixes.kinds };
  return vscode.Disposable.from(
    codeLens,
    hints,
    publishDiagnostics(sessions),
    new TintDecorations(sessions),
    new PromptStatusBar(sessions),
    languages.registerCodeLensProvider(selector, codeLens),
    languages.registerInlayHintsProvider(selector, hints),
    languages.registerHoverProvider(selector, new TokenHover(sessions)),
    languages.registerHoverProvider(selector, help),
    languages.registerCompletionItemProvider(selector, help, ':', ' ', '"', '{', ',', '@', '='),
    languages.registerCodeActionsProvider(selector, new PromptQuickFixes(sessions), quickFixes),
    languages.registerDocumentSymbolProvider(selector, new PromptSymbols(sessions), { label: 'Prompts' }),
  );
}
