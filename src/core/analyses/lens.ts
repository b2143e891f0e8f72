import type { TraceRequest } from '../../shared/engineProtocol.ts';
import { throwIfCancelled } from '../../shared/errors.ts';
import type { LensTable } from '../../shared/traceDocument.ts';
import { concatenate } from '../engine/keysValues.ts';
import { resolvePosition } from '../engine/runChecks.ts';
import type { AnalysisContext } from './analysisContext.ts';
import { observableAt } from './observableAt.ts';
import { progressSteps } from './progressSteps.ts';
import { readPrompt } from './promptContext.ts';

/** Columns that go through the unembedding together. */
const COLUMNS = 8;

type Cell = LensTable['top'][number][number];

/**
 * The logit lens at chosen positions: each layer's residual stream through the final norm (its own scale) and the
 * unembedding. No forward pass when the prompt is in the cache; one unembedding of (layers + 1) rows per position.
 * Source: nostalgebraist 2020, "interpreting GPT: the logit lens".
 * @throws MechanistError as `trace`
 */
export async function lens(
  context: AnalysisContext,
  request: TraceRequest,
  positions: readonly number[],
): Promise<LensTable> {
  const { model, runner, cache, signal, onProgress } = context;
  throwIfCancelled(signal);
  const { ids, position } = readPrompt(model, request);
  const { dModel, nLayers } = model.config;
  const wanted = positions.map((pos) => resolvePosition(pos, ids.length));
  const [forward, reading] = progressSteps(onProgress, [1, 1]);
  const prompt = await cache.get(ids, position, { signal, onProgress: forward });
  const { terms } = await observableAt(context, request.observable, prompt, position);
  const residuals = await cache.residualRows(prompt, wanted, { signal });
  const values = residuals.map(() => [] as number[]);
  const top = residuals.map(() => [] as Cell[]);
  const columns = terms.map((term) => term.id);
  for (let first = 0; first < wanted.length; first += COLUMNS) {
    const count = Math.min(COLUMNS, wanted.length - first);
    const rows = concatenate(residuals.map((x) => x.subarray(first * dModel, (first + count) * dModel)));
    const best = await runner.unembedding.top(runner.finalNorm.apply(rows), 1, columns, signal);
    for (let row = 0; row < residuals.length * count; row += 1) {
      const layer = Math.floor(row / count);
      const [id] = best.ids[row];
      values[layer].push(terms.reduce((sum, term, t) => sum + term.weight * best.columns[row][t], 0));
      top[layer].push({
        id,
        text: model.tokenizer.tokenText(id),
        p: Math.exp(best.logits[row][0] - best.logSumExp[row]),
      });
    }
    reading({ done: first + count, total: wanted.length, label: `${first + count} of ${wanted.length} positions` });
  }
  const rows = ['emb', ...Array.from({ length: nLayers }, (_, layer) => `L${layer}`)];
  return { rows, positions: wanted, values, top };
}
