import * as vscode from 'vscode';
import type { PromptTarget } from '../../shared/contributions.ts';
import { askPropagation } from './askPropagation.ts';
import { type CommandContext, findPrompt } from './commandContext.ts';
import { writeFrontMatter } from './writeFrontMatter.ts';

/** Asks how tokens are scored and writes it into the front matter. */
export async function changeMethod(context: CommandContext, given: PromptTarget | undefined): Promise<void> {
  const found = await findPrompt(context, given);
  const { document, session } = found;
  const now = session.file.frontMatter?.method?.value ?? session.settings.method;
  const items = [
    {
      label: 'direct',
      detail:
        'Direct logit attribution split over source tokens; attention and norm scale frozen. One forward pass; adds up to the observable.',
    },
    {
      label: 'occlusion',
      detail:
        'The observable minus its value with the token replaced by the mean embedding. One forward pass for each token.',
    },
    {
      label: 'gradient-times-input',
      detail: 'The embedding of the token times the gradient of the observable at it. Three forward passes.',
    },
    {
      label: 'integrated-gradients',
      detail:
        'Gradients on the line from the mean embedding of the vocabulary, times the way from there. A hundred forward passes.',
    },
    {
      label: 'observable-propagation',
      detail:
        'What one head, or a path of heads and MLPs, reads from each token along the observable; attention held fixed. One forward pass.',
    },
  ].map((item) => ({ ...item, description: item.label === now ? 'in force' : '' }));
  const picked = await vscode.window.showQuickPick(items, { title: 'Method of Token Attribution' });
  if (!picked) return;
  const more = picked.label === 'observable-propagation' ? await askPropagation(context, found) : [];
  if (picked.label !== now || more.length > 0) await writeFrontMatter(document, ['method', picked.label], ...more);
}
