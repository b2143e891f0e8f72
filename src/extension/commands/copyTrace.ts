import * as vscode from 'vscode';
import type { PromptTarget } from '../../shared/contributions.ts';
import { MechanistError } from '../../shared/errors.ts';
import type { PackedArray } from '../../shared/packedArray.ts';
import type { TraceDocument } from '../../shared/traceDocument.ts';
import { type CommandContext, findPrompt } from './commandContext.ts';

function isPacked(value: unknown): value is PackedArray {
  return typeof value === 'object' && value !== null && 'data' in value && value.data instanceof Float32Array;
}

/** A trace as JSON text: packed arrays become `{dims, data: [numbers]}`. */
function traceJson(document: TraceDocument): string {
  return JSON.stringify(
    document,
    (_, value) => (isPacked(value) ? { dims: value.dims, data: [...value.data] } : value),
    2,
  );
}

/** Copies the whole trace of a prompt. */
export async function copyTrace(context: CommandContext, given: PromptTarget | undefined): Promise<void> {
  const { session, target } = await findPrompt(context, given);
  const document = await session.traced(target.prompt);
  if (!document)
    throw new MechanistError('bad-input', 'This prompt is not traced. Put right what is underlined first.');
  await vscode.env.clipboard.writeText(traceJson(document));
  vscode.window.setStatusBarMessage(`Copied the trace #${document.provenance.hash} as JSON`, 3000);
}
