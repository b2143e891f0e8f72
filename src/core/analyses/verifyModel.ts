import { MechanistError, throwIfCancelled } from '../../shared/errors.ts';
import type { VerifyReport } from '../../shared/modelInfo.ts';
import type { RunContext } from '../engine/modelRunner.ts';
import type { ReferenceLogits } from '../models/verifyReference.ts';
import type { AnalysisEngine } from './analysisEngine.ts';

/**
 * Compares the engine's last-position logits with those of Hugging Face transformers (float32). One forward pass a prompt.
 * @throws MechanistError `hash-mismatch` when the reference belongs to another weight file; `cancelled`.
 */
export async function verifyModel(
  { model, runner }: AnalysisEngine,
  reference: ReferenceLogits,
  { signal, onProgress }: RunContext = {},
): Promise<VerifyReport> {
  const { info } = model;
  if (info.hash !== reference.modelHash) {
    throw new MechanistError(
      'hash-mismatch',
      `The reference logits of ${info.ref} belong to a weight file with sha256 ${reference.modelHash.slice(0, 12)}…; ` +
        `this one has ${info.hash.slice(0, 12)}…. Remove the model's folder from the cache and pull it again.`,
    );
  }
  const total = reference.prompts.length;
  let maxAbsLogitDelta = 0;
  for (const [done, prompt] of reference.prompts.entries()) {
    throwIfCancelled(signal);
    const { data } = await runner.logits([prompt.ids], { columns: prompt.sampleIds, signal });
    for (const [i, expected] of prompt.logits.entries()) {
      const delta = Math.abs((data[i] ?? Number.NaN) - expected);
      // A NaN must not pass as small.
      maxAbsLogitDelta = Number.isNaN(delta) ? Number.NaN : Math.max(maxAbsLogitDelta, delta);
    }
    onProgress?.({ done: done + 1, total, label: `prompt ${done + 1} of ${total}` });
  }
  return {
    ref: info.ref,
    prompts: total,
    maxAbsLogitDelta,
    tolerance: reference.tolerance,
    passed: maxAbsLogitDelta <= reference.tolerance,
    reference: reference.reference,
  };
}
