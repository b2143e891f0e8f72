import * as vscode from 'vscode';
import type { FrontMatterKey } from '../../core/tasks/frontMatter.ts';
import { parsePath } from '../../core/tasks/pathText.ts';
import { MechanistError } from '../../shared/errors.ts';
import { signed } from '../../shared/format.ts';
import type { ModelInfo } from '../../shared/modelInfo.ts';
import type { TraceDocument } from '../../shared/traceDocument.ts';
import type { CommandContext, FoundPrompt } from './commandContext.ts';
import { ask, type Option } from './sweepSteps.ts';

const title = 'Observable Propagation';
/** Heads that are offered by name; others are written. */
const offeredHeads = 12;

function headOptions({ direct }: TraceDocument): Option<string>[] {
  const heads = direct.heads.flatMap((row, layer) => row.map((value, head) => ({ name: `L${layer}.H${head}`, value })));
  heads.sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
  return heads.slice(0, offeredHeads).map(({ name, value }) => ({
    ...{ label: name, description: `${signed(value)} logits directly`, value: name },
  }));
}

async function writePath(value: string, info: ModelInfo): Promise<string> {
  const text = await vscode.window.showInputBox({
    ...{ title, value },
    prompt: 'A path, nearest the logits first: L9.H6, or L9.H6@4 <= MLP 3. @4 is the token a node reads, from 1',
    validateInput: (typed) => parsePath(typed, { sizes: info }).problems[0]?.message ?? null,
  });
  if (text === undefined) throw new MechanistError('cancelled', 'Cancelled.');
  return text.trim();
}

/** Asks for node and view of observable propagation: what is to be written into the front matter, key by key. */
export async function askPropagation(
  context: CommandContext,
  { session, target }: FoundPrompt,
): Promise<readonly (readonly [FrontMatterKey, string])[]> {
  const state = session.state(target.prompt);
  const { node, view } = session.file.frontMatter ?? {};
  if (session.choice?.kind !== 'use') return [];
  const info = await context.models.load(session.choice.ref);
  const options: Option<string | null>[] = [
    ...(node ? [{ label: node.value, description: 'in force', value: node.value }] : []),
    ...(node ? [] : [{ label: 'The head that adds most directly', description: 'of each prompt', value: '' }]),
    { label: '$(edit) Write a path…', description: 'L9.H6@4 <= MLP 3', value: null },
    ...(state.kind === 'traced' ? headOptions(state.document) : []).filter(({ value }) => value !== node?.value),
  ];
  const picked = await ask(title, 'Through which node', options);
  const path = picked ?? (await writePath(node?.value ?? '', info));
  const views: Option<'score' | 'contribution'>[] = [
    { label: 'Score', detail: 'What the node reads from each token, x · y, at full attention.', value: 'score' },
    {
      ...{ label: 'Contribution', value: 'contribution' },
      detail: 'What reaches the observable through it, A · x · y, with the attention there is.',
    },
  ];
  const shown = await ask(title, 'What of each token', view?.value === 'contribution' ? views.toReversed() : views);
  return [...(path === '' ? [] : [['node', path] as const]), ['view', shown] as const];
}
