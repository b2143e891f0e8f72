import * as vscode from 'vscode';
import { observableText, plainText } from '../../core/tasks/editFrontMatter.ts';
import { type NamedObservables, withNamedObservable } from '../../core/tasks/namedObservables.ts';
import { specLabel } from '../../core/tasks/observable.ts';
import { parsePromptFile } from '../../core/tasks/promptFile.ts';
import type { PromptTarget } from '../../shared/contributions.ts';
import type { ObservableSpec } from '../../shared/engineProtocol.ts';
import { MechanistError } from '../../shared/errors.ts';
import { share, visibleToken } from '../../shared/format.ts';
import type { NextToken } from '../../shared/traceDocument.ts';
import type { ModelDirectory } from '../modelDirectory.ts';
import type { PromptSession } from '../promptLanguage/promptSession.ts';
import { termProblems, termsOf } from '../promptLanguage/termProblems.ts';
import { type CommandContext, type FoundPrompt, findPrompt } from './commandContext.ts';
import { writeFrontMatter } from './writeFrontMatter.ts';

const example = '{ " she": 1, " he": -1 }';

/** What an observable that is typed is held against. */
interface Asking {
  readonly models: ModelDirectory;
  readonly named: NamedObservables;
}

interface Choice extends vscode.QuickPickItem {
  readonly token?: NextToken;
  /** Name of an observable of the settings. */
  readonly name?: string;
}

/** Observables of the settings, with what they weigh. */
function namedItems({ specs }: NamedObservables): Choice[] {
  return Object.entries(specs).map(([name, spec]) => ({ label: name, description: specLabel(spec), name }));
}

/** Why text is no observable for this model, in a sentence; null when it is one. */
async function observableMistake(text: string, model: string | null, found: Asking): Promise<string | null> {
  const { models, named } = found;
  const file = withNamedObservable(parsePromptFile(`---\nobservable: ${text}\n---\n`), named);
  const problem = file.problems.find((p) => p.severity === 'error');
  if (problem || text.includes('\n')) return problem?.message ?? `One line, as ${example}.`;
  const observable = file.frontMatter?.observable;
  if (!observable) return `An observable maps tokens to weights, as ${example}.`;
  if (model === null) return null;
  const checks = await models.checkTerms(model, termsOf(observable));
  const problems = termProblems(observable, checks, model, named.specs);
  return problems.find(({ severity }) => severity === 'error')?.message ?? null;
}

async function typeObservable(asking: Asking, session: PromptSession): Promise<string | undefined> {
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
        return await observableMistake(text, model, asking);
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
  const named = found.session.settings.observables;
  const write: Choice = { label: '$(edit) Write an observable…', description: example };
  const items: Choice[] = [...namedItems(named), write, ...next.map(tokenItem)];
  const picked =
    items.length === 1
      ? write
      : await vscode.window.showQuickPick(items, {
          title: 'Change Observable',
          placeHolder: 'Write one, or start from a likely next token',
        });
  if (!picked) return undefined;
  if (picked.name !== undefined) return plainText(picked.name);
  if (!picked.token) return await typeObservable({ models: context.models, named }, found.session);
  const spec = await pickDifference(next, picked.token);
  return spec && observableText(spec);
}

/** Asks what is to be explained and writes it into the front matter. */
export async function changeObservable(context: CommandContext, given: PromptTarget | undefined): Promise<void> {
  const found = await findPrompt(context, given);
  const text = await askObservable(context, found);
  if (text !== undefined && text.trim() !== '') await writeFrontMatter(found.document, ['observable', text.trim()]);
}
