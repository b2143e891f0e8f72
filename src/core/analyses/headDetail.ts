import type { TraceRequest } from '../../shared/engineProtocol.ts';
import { MechanistError, throwIfCancelled } from '../../shared/errors.ts';
import type { PackedArray } from '../../shared/packedArray.ts';
import type { HeadDetail } from '../../shared/traceDocument.ts';
import type { PromptActivations } from '../engine/activationCache.ts';
import { HeadWeights } from '../engine/headWeights.ts';
import { firstPositions } from '../engine/keysValues.ts';
import { resolvePosition } from '../engine/runChecks.ts';
import type { AnalysisContext } from './analysisContext.ts';
import { readPrompt } from './promptContext.ts';

/** Vocabulary entries shown per direction. */
const OV_TOKENS = 5;
/** A whole pattern beyond this length would be larger than any picture of it. */
const MAX_PATTERN_POSITIONS = 4096;
/** Attention weights (of all heads of the layer) that one run may return. */
const MAX_WEIGHTS_PER_RUN = 4 << 20;

export interface HeadQuestion {
  readonly layer: number;
  readonly head: number;
  /** Position that the OV circuit is asked to read. */
  readonly source: number;
}

/** The pattern of one head, `[query, key]`: its layer again, from the cached residual stream. */
async function headPattern(
  context: AnalysisContext,
  prompt: PromptActivations,
  layer: number,
  head: number,
): Promise<PackedArray> {
  const { runner, cache, signal } = context;
  const { nHeads, dModel } = runner.config;
  const length = prompt.tokens.length;
  const x = await cache.residualBefore(prompt, layer, { signal });
  const data = new Float32Array(length * length);
  const step = Math.max(1, Math.floor(MAX_WEIGHTS_PER_RUN / (nHeads * length)));
  for (let first = 0; first < length; first += step) {
    const count = Math.min(step, length - first);
    const past = firstPositions(prompt.keysValues[layer], first, runner.config);
    const { reads } = await runner.blocks.forward({
      x: x.subarray(first * dModel, (first + count) * dModel),
      ...{ batch: 1, count, start: first, fromLayer: layer, toLayer: layer + 1, signal },
      past: () => past,
      reads: {
        hooks: new Map([[layer, ['attn.hook_pattern']]]),
        rows: Int32Array.from({ length: count }, (_, i) => i),
      },
    });
    const pattern = reads.get(layer, 'attn.hook_pattern').data;
    const keys = first + count;
    for (let row = 0; row < count; row += 1) {
      const at = (head * count + row) * keys;
      data.set(pattern.subarray(at, at + keys), (first + row) * length);
    }
  }
  return { dims: [length, length], data };
}

/** What the head writes when it attends to `source` alone: v W_O, without the output bias. `[d_model]` */
async function outputFrom(
  context: AnalysisContext,
  prompt: PromptActivations,
  question: HeadQuestion,
): Promise<Float32Array> {
  const { runner } = context;
  const { nHeads, nKeyValueHeads, dHead } = runner.config;
  const { layer, head, source } = question;
  const { values, length } = prompt.keysValues[layer];
  const from = (Math.floor(head / (nHeads / nKeyValueHeads)) * length + source) * dHead;
  const weights = await HeadWeights.read(runner, layer);
  return Float32Array.from(weights.output(head, values.subarray(from, from + dHead)));
}

async function ovTokens(context: AnalysisContext, prompt: PromptActivations, position: number, question: HeadQuestion) {
  const { runner, model, signal } = context;
  const { dModel, dVocab } = model.config;
  const scale = runner.finalNorm.scale(prompt.final.subarray(position * dModel, (position + 1) * dModel));
  const output = runner.finalNorm.applyLinear(await outputFrom(context, prompt, question), scale);
  const { data } = await runner.unembedding.logits(output, undefined, signal);
  const bias = runner.weights.unembed.bias;
  // The unembedding's bias belongs to no head.
  if (bias !== null)
    (await runner.files.tensor(bias)).forEach((value, id) => {
      data[id] -= value;
    });
  const order = Array.from({ length: dVocab }, (_, id) => id).sort((a, b) => data[b] - data[a]);
  const show = (ids: readonly number[]) =>
    ids.map((id) => ({ id, text: model.tokenizer.tokenText(id), logit: data[id] }));
  return { up: show(order.slice(0, OV_TOKENS)), down: show(order.reverse().slice(0, OV_TOKENS)) };
}

/**
 * One head: its whole attention pattern and what its OV circuit writes when it reads `source`. One layer of a forward
 * pass and one unembedding, when the prompt is in the cache.
 * @throws MechanistError `bad-input` (no such head or position), `prompt-too-long`, and as `trace`
 */
export async function headDetail(
  context: AnalysisContext,
  request: TraceRequest,
  question: HeadQuestion,
): Promise<HeadDetail> {
  const { model, cache, signal, onProgress } = context;
  throwIfCancelled(signal);
  const { nLayers, nHeads } = model.config;
  const { layer, head } = question;
  const inRange = (value: number, end: number) => Number.isInteger(value) && value >= 0 && value < end;
  if (!inRange(layer, nLayers) || !inRange(head, nHeads)) {
    throw new MechanistError(
      'bad-input',
      `There is no head L${layer}.H${head}: layers are 0 to ${nLayers - 1}, heads 0 to ${nHeads - 1}.`,
    );
  }
  const { ids, position } = readPrompt(model, request);
  const source = resolvePosition(question.source, ids.length);
  if (ids.length > MAX_PATTERN_POSITIONS) {
    throw new MechanistError(
      'prompt-too-long',
      `Whole attention patterns are shown for up to ${MAX_PATTERN_POSITIONS} tokens; this prompt has ${ids.length}. Shorten it.`,
    );
  }
  const prompt = await cache.get(ids, position, { signal, onProgress });
  const pattern = await headPattern(context, prompt, layer, head);
  return {
    layer,
    head,
    pattern,
    ov: { source, ...(await ovTokens(context, prompt, position, { layer, head, source })) },
  };
}
