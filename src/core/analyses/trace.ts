import type { TraceRequest } from '../../shared/engineProtocol.ts';
import { throwIfCancelled } from '../../shared/errors.ts';
import { signed } from '../../shared/format.ts';
import type { OnProgress } from '../../shared/progress.ts';
import type { DirectAttribution, NextToken, PropagationDetail, TraceDocument } from '../../shared/traceDocument.ts';
import type { PromptActivations } from '../engine/activationCache.ts';
import { propagate } from '../observables/propagate.ts';
import type { AnalysisContext, ObservableDirection } from './analysisContext.ts';
import { attributionsBySource, directAttribution, sumOfParts } from './directAttribution.ts';
import { DEFAULT_STEPS, gradientTimesInput, integratedGradients } from './integratedGradients.ts';
import { type ObservableInUse, observableAt } from './observableAt.ts';
import { occlusion, occlusionGroups } from './occlusion.ts';
import { progressSteps } from './progressSteps.ts';
import { readPrompt } from './promptContext.ts';
import { provenanceOf } from './provenance.ts';

const DEFAULT_TOP = 10;
/** Largest error of the sum of parts, relative to the largest part, that float32 explains. */
const SUM_TOLERANCE = 1e-4;

interface Outputs {
  readonly next: readonly NextToken[];
  readonly value: number;
}

/** Candidates after the last position, and the observable's value at its own position, both from the model's logits. */
async function readOutputs(
  { model, runner, signal }: AnalysisContext,
  prompt: PromptActivations,
  position: number,
  { terms }: ObservableInUse,
  top: number,
): Promise<Outputs> {
  const { dModel } = model.config;
  const last = prompt.tokens.length - 1;
  const rows = new Float32Array(2 * dModel);
  [last, position].forEach((pos, i) => {
    rows.set(prompt.final.subarray(pos * dModel, (pos + 1) * dModel), i * dModel);
  });
  const columns = terms.map((term) => term.id);
  const best = await runner.unembedding.top(runner.finalNorm.apply(rows), Math.max(1, top), columns, signal);
  const next = best.ids[0].map((id, rank) => {
    const logit = best.logits[0][rank];
    return { id, text: model.tokenizer.tokenText(id), logit, logprob: logit - best.logSumExp[0] };
  });
  return { next, value: terms.reduce((sum, term, t) => sum + term.weight * best.columns[1][t], 0) };
}

/** The parts must add up to the model's own logits; if they do not, the reader is told. */
function checkSum(direct: DirectAttribution, value: number): string[] {
  const error = Math.abs(sumOfParts(direct) - value);
  const parts = [...direct.heads.flat(), ...direct.mlps, direct.embedding, direct.positionEmbedding, direct.bias];
  const scale = parts.reduce((largest, part) => Math.max(largest, Math.abs(part)), Math.abs(value));
  if (error <= SUM_TOLERANCE * Math.max(scale, 1e-3)) return [];
  return [`The parts of the observable add up to ${signed(sumOfParts(direct))}, not to its value ${signed(value)}.`];
}

/** Forward passes of the method beside those of every trace. */
function furtherPasses({ method, steps = DEFAULT_STEPS }: TraceRequest, position: number): number {
  const passes = {
    direct: 0,
    occlusion: occlusionGroups(position).length,
    'gradient-times-input': 3,
    'integrated-gradients': 3 * steps,
    'observable-propagation': 0,
  };
  return passes[method];
}

/** Share of the difference between prompt and baseline that integrated gradients may miss without a warning. */
const STEP_TOLERANCE = 0.05;

interface Attributed {
  readonly attributions: readonly number[];
  readonly warnings: readonly string[];
  readonly propagation?: PropagationDetail;
}

/** Token attributions by the method asked for, `[pos]`, with what a reader should know about them. */
async function attribute(
  context: AnalysisContext,
  request: TraceRequest,
  prompt: PromptActivations,
  position: number,
  direction: ObservableDirection & { readonly label: string; readonly value: number },
  direct: DirectAttribution,
  onProgress: OnProgress,
): Promise<Attributed> {
  const { terms } = direction;
  const { method, steps } = request;
  switch (method) {
    case 'direct':
      return { attributions: attributionsBySource(direct, position), warnings: [] };
    case 'occlusion':
      return { attributions: await occlusion(context, prompt, position, direction, onProgress), warnings: [] };
    case 'gradient-times-input':
      return { attributions: await gradientTimesInput(context, prompt.tokens, position, terms), warnings: [] };
    case 'integrated-gradients': {
      const found = await integratedGradients(context, prompt.tokens, position, terms, steps, onProgress);
      const sum = found.attributions.reduce((total, value) => total + value, 0);
      const whole = found.value - found.baselineValue;
      const warning = `The attributions add up to ${signed(sum)}, not to the way from the baseline, ${signed(whole)}: more steps would be more exact.`;
      const good = Math.abs(sum - whole) <= STEP_TOLERANCE * Math.max(Math.abs(whole), 1e-3);
      return { attributions: found.attributions, warnings: good ? [] : [warning] };
    }
    case 'observable-propagation': {
      const { detail, warnings } = await propagate(context, request, prompt, position, direction, direct);
      const attributions = detail.view === 'score' ? detail.scores : detail.contributions;
      return { attributions, warnings, propagation: detail };
    }
  }
}

/**
 * Traces a prompt: next tokens, the observable, its direct attribution, and token attributions by the method asked for.
 * One forward pass (less what the cache knows); occlusion adds about half a pass per token.
 * @throws MechanistError `prompt-empty`, `bad-input`, `token-splits`, `model-corrupt`, `cancelled`
 */
export async function trace(context: AnalysisContext, request: TraceRequest): Promise<TraceDocument> {
  const { model, runner, cache, signal } = context;
  throwIfCancelled(signal);
  const { tokens, ids, tokensInText, position, warnings } = readPrompt(model, request);
  const { method } = request;
  const [forward, splitting, further] = progressSteps(context.onProgress, [1, 1, furtherPasses(request, position)]);
  const prompt = await cache.get(ids, position, { signal, onProgress: forward });
  const observable = await observableAt(context, request.observable, prompt, position);
  const { next, value } = await readOutputs(context, prompt, position, observable, request.top ?? DEFAULT_TOP);
  const { terms, label } = observable;
  const direction = { terms, label, value, ...(await runner.unembedding.direction(terms)) };
  const direct = await directAttribution(context, prompt, position, direction, splitting);
  const found = await attribute(context, request, prompt, position, direction, direct, further);
  const { propagation } = found;
  const more = propagation === undefined ? [] : [propagation.path, propagation.norm, propagation.view];
  return {
    schemaVersion: 1,
    kind: 'trace',
    complete: true,
    warnings: [...warnings, ...checkSum(direct, value), ...found.warnings],
    provenance: provenanceOf(context, { model: request.model, ids, terms, position, method, more }),
    prompt: request.prompt,
    tokens,
    tokensInText,
    position,
    observable: { ...observable, value },
    method,
    attributions: found.attributions,
    ...(propagation !== undefined && { propagation }),
    direct,
    next,
  };
}
