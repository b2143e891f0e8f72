import type { VerifyReport } from '../../shared/modelInfo.ts';
import type { OnProgress } from '../../shared/progress.ts';
import { progressPhases } from '../../shared/progressPhases.ts';
import { AnalysisEngine, type AnalysisEngineOptions } from '../analyses/analysisEngine.ts';
import { verifyModel } from '../analyses/verifyModel.ts';
import type { LocatedModel, ModelStore } from '../models/modelStore.ts';
import { readReferenceLogits } from '../models/verifyReference.ts';

/** How a long job is followed and stopped. */
export interface Job {
  readonly signal: AbortSignal;
  readonly onProgress: OnProgress;
}

/** Share of the bar for casting the weights to float32; the rest is loading them. Only the first time it is work. */
const CASTING = 0.6;

/**
 * Opens a model that is on this machine and loads its weights.
 * @throws MechanistError as `openModelFiles` and `AnalysisEngine.open`.
 */
export async function loadModel(
  store: ModelStore,
  located: LocatedModel,
  options: AnalysisEngineOptions,
  { signal, onProgress }: Job,
): Promise<AnalysisEngine> {
  const [casting, loading] = progressPhases(onProgress, CASTING);
  const model = await store.open(located, { signal, onProgress: casting });
  return await AnalysisEngine.open(model, options, { signal, onProgress: loading });
}

/**
 * Compares a catalogue model with its stored reference logits.
 * @throws MechanistError `bad-input` when there are none, and those of `verifyModel`.
 */
export async function verifyLoaded(
  engine: AnalysisEngine,
  store: ModelStore,
  located: LocatedModel,
  job: Job,
): Promise<VerifyReport> {
  const reference = await readReferenceLogits(store.bundledDir, located.entry?.id ?? located.ref);
  return await verifyModel(engine, reference, job);
}
