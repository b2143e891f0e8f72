import type { ModelInfo } from '../../shared/modelInfo.ts';
import type { CommandContext } from './commandContext.ts';

/** Downloads a catalogue entry with progress; what an earlier, broken download left is taken up again. */
export async function downloadModel(
  { engine, models, messages }: CommandContext,
  given: { readonly id: string } | undefined,
): Promise<ModelInfo | undefined> {
  const id = given?.id;
  if (id === undefined) return undefined;
  const title = `Downloading ${id}. Cancelling keeps what is there; the next download resumes`;
  const info = await messages.runWithProgress(title, (signal, onProgress) =>
    engine.request('models.pull', { id }, { signal, onProgress }),
  );
  if (info) models.refresh();
  return info;
}
