import { bytes } from '../../shared/format.ts';
import type { ModelInfo } from '../../shared/modelInfo.ts';
import type { Progress } from '../../shared/progress.ts';
import type { CommandContext } from './commandContext.ts';

/** Downloads a catalogue entry with progress; what an earlier, broken download left is taken up again. */
export async function downloadModel(
  { engine, models, messages }: CommandContext,
  given: { readonly id: string } | undefined,
): Promise<ModelInfo | undefined> {
  const id = given?.id;
  if (id === undefined) return undefined;
  const info = await messages.runWithProgress(`Downloading ${id}`, (signal, onProgress) => {
    const inBytes = ({ done, total }: Progress) => {
      onProgress({ done, total, label: `${bytes(done)} of ${bytes(total)}. After Cancel the next download resumes` });
    };
    return engine.request('models.pull', { id }, { signal, onProgress: inBytes });
  });
  if (info) models.refresh();
  return info;
}
