import { AnalysisEngine } from '../../src/core/analyses/analysisEngine.ts';
import { type GridOptions, runGrid } from '../../src/core/analyses/grid.ts';
import type { ClimbContext } from '../../src/core/engine/sweeps/climb.ts';
import type { OpenModel } from '../../src/core/models/openModel.ts';
import type { GridDocument, GridRequest } from '../../src/shared/gridDocument.ts';
import { wordTokenizer } from './wordTokenizer.ts';

export const WORDS = { model: 'test' } as const;

/** A prompt of token ids as text for `wordTokenizer`. */
export function wordsOf(ids: readonly number[]): string {
  return ids.map((id) => ` t${id}`).join('');
}

/** An engine on a model whose prompts are written ` t5 t17`. */
export async function wordEngine(model: OpenModel): Promise<AnalysisEngine> {
  const words = { ...model, tokenizer: wordTokenizer(model.config.dVocab) };
  return await AnalysisEngine.open(words, { threads: 1, cacheBytes: 1 << 20, version: 'test' });
}

/** Runs a sweep as the engine process does, with plenty of memory unless told otherwise. */
export function sweep(
  { model, runner, cache }: AnalysisEngine,
  request: GridRequest,
  options: Partial<GridOptions> = {},
  context: ClimbContext = {},
): Promise<GridDocument> {
  return runGrid({ model, runner, cache, version: 'test', ...context }, request, { memoryBytes: 1 << 30, ...options });
}
