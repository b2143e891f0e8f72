import * as vscode from 'vscode';
import { observableText } from '../../core/tasks/editFrontMatter.ts';
import { parsePromptFile } from '../../core/tasks/promptFile.ts';
import type { PromptTarget } from '../../shared/contributions.ts';
import type { ObservableSpec } from '../../shared/engineProtocol.ts';
import { MechanistError } from '../../shared/errors.ts';
import { share, visibleToken } from '../../shared/format.ts';
import type { NextToken } from '../../shared/traceDocument.ts';
import type { EnginePort } from '../engineClient.ts';
import { termProblems } from '../promptLanguage/promptRequests.ts';
import type { PromptSession } from '../promptLanguage/promptSession.ts';
import { type CommandContext, type FoundPrompt, findPrompt } from './commandContext.ts';
import { writeFrontMatter } from './writeFrontMatter.ts';

const example = '{ " she": 1, " he": -1 }';

/** Why text is no observable for this model, in a sentence; null when it is one. */
async function observableMistake(text: string, model: string | null, port: EnginePort): Promise<string | null> {
  const file = parsePromptFile(`---\nobservable: ${text}\n---\n`);
  const problem = file.problems.find((p) => p.severity === 'error');
  if (problem || text.includes('\n')) return problem?.message ?? `One line, as ${example}.`;
  const words = file.frontMatter?.observable?.words;
  if (!words) return `An observable maps tokens to weights, as ${example}.`;
  if (model === null) return null;
  const checks = await port.request('checkTerms', { model, terms: words.map((w) => w.value) });
  return termProblems(file, new Map(checks.map((c) => [c.text, c])), model)[0]?.message ?? null;
}

async function typeObservable({ engine }: CommandContext, session: PromptSession): Promise<string | undefined> {
  const observable = session.file.frontMatter?.observable?.value;
  const model = session.choice?.kind === 'use' ? session.choice.ref : null;
  const value = observable ? observableText(observable) : example;
  return await vscode.window.showInputBox({
    title: 'Change Observable',
    prompt: 'Tokens and weights. A word inside a sentence starts with a space.',
    value,
    valueSelection: [3, Math.max(3, value.indexOf('"', 3))],
    validateInput: async (text) => {
      try {
        return await observableMistake(text, model, engine);
      } catch (error) {
        // Without an engine the observable is checked when it is traced.
        if (error instanceof MechanistError) return null;
        throw error;
      }
    },
  });
}

function tokenItem(token: NextToken) {
  return { label: visibleToken(token.text), description: share(Math.exp(token.logprob)), token };
}

async function pickDifference(next: readonly NextToken[], first: NextToken): Promise<ObservableSpec | undefined> {
  const nothing = { label: `${visibleToken(first.text)} alone`, description: 'its logit', token: null };
  const others = next
    .filter((token) => token.id !== first.id)
    .map((token) => ({ ...tokenItem(token), label: `− ${visibleToken(token.text)}` }));
  const picked = await vscode.window.showQuickPick([...others, nothing], {
    title: `${visibleToken(first.text)} minus which token?`,
    placeHolder: 'A difference of two logits is not moved by what raises all logits.',
  });
  if (!picked) return undefined;
  return picked.token ? { [first.text]: 1, [picked.token.text]: -1 } : { [first.text]: 1 };
}

async function askObservable(context: CommandContext, found: FoundPrompt): Promise<string | undefined> {
  const state = found.session.state(found.target.prompt);
  const next = state.kind === 'traced' ? state.document.next : [];
  const write = { label: '$(edit) Write an observable…', description: example, token: null };
  const items = [write, ...next.map(tokenItem)];
  const picked =
    items.length === 1
      ? write
      : await vscode.window.showQuickPick(items, {
          title: 'Change Observable',
          placeHolder: 'Write one, or start from a likely next token',
        });
  if (!picked) return undefined;
  if (!picked.token) return await typeObservable(context, found.session);
  const spec = await pickDifference(next, picked.token);
  return spec && observableText(spec);
}

/** Asks what is to be explained and writes it into the front matter. */
export async function changeObservable(context: CommandContext, given: PromptTarget | undefined): Promise<void> {
  const found = await findPrompt(context, given);
  const text = await askObservable(context, found);
  if (text !== undefined && text.trim() !== '') await writeFrontMatter(found.document, 'observable', text.trim());
}
