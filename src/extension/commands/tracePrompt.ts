import type { PromptTarget } from '../../shared/contributions.ts';
import { type CommandContext, findPrompt } from './commandContext.ts';

/** Opens the trace of the prompt under the cursor (or of the one that was clicked) beside the file. */
export async function tracePrompt(context: CommandContext, given: PromptTarget | undefined): Promise<void> {
  const { target } = await findPrompt(context, given);
  context.panels.show(target);
}
