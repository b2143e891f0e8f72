import { MechanistError } from '../../shared/errors.ts';
import type { MetricSpec } from '../../shared/metric.ts';
import type { SteerDocument, SteerOutputs, SteerRequest } from '../../shared/steerDocument.ts';
import { hookName, parseHookPoint } from '../engine/hookPoints.ts';
import type { ModelRunner } from '../engine/modelRunner.ts';
import { describeMetric, resolveGridRequest, type SweepItem } from '../tasks/gridRequest.ts';
import { metricOfItem } from '../tasks/metrics.ts';
import { checkTerms } from '../tasks/observable.ts';
import type { AnalysisContext } from './analysisContext.ts';
import { gridProvenance } from './gridProvenance.ts';

const DEFAULT_TOP = 10;

/** The unembedding's column of one token minus that of another, or minus none. */
async function unembeddingDifference(
  { model, runner }: AnalysisContext,
  toward: string,
  away: string | undefined,
): Promise<Float64Array> {
  const terms = [{ text: toward, weight: 1 }, ...(away === undefined ? [] : [{ text: away, weight: -1 }])];
  const checks = checkTerms(
    terms.map(({ text }) => text),
    model.tokenizer,
  );
  const split = checks.find(({ pieces }) => pieces.length !== 1);
  if (split !== undefined) {
    const advice = split.suggestion === null ? '' : ` Write "${split.suggestion}".`;
    throw new MechanistError('token-splits', `"${split.text}" is ${split.pieces.length} tokens.${advice}`);
  }
  const ids = checks.map(({ pieces }, i) => ({ id: pieces[0].id, weight: terms[i].weight }));
  return (await runner.unembedding.direction(ids)).direction;
}

/** The activation at the last position of one prompt minus that of another (Turner et al. 2023). */
async function activationDifference(
  { model, runner, signal }: AnalysisContext,
  hook: string,
  plus: string,
  minus: string,
): Promise<Float64Array> {
  const at = async (text: string) => {
    const ids = Int32Array.from(model.tokenizer.encode(text), ({ id }) => id);
    const { activations } = await runner.run([ids], { hooks: [hook], positions: [-1], signal });
    return [...activations.values()][0].data;
  };
  const [a, b] = [await at(plus), await at(minus)];
  return Float64Array.from(a, (value, i) => value - b[i]);
}

async function directionOf(context: AnalysisContext, { direction, hook }: SteerRequest): Promise<Float64Array> {
  switch (direction.kind) {
    case 'vector':
      return Float64Array.from(direction.values);
    case 'unembedding':
      return await unembeddingDifference(context, direction.toward, direction.away);
    case 'prompts':
      return await activationDifference(context, hook, direction.plus, direction.minus);
  }
}

/** Length 1, unless it is to stay as it is. */
function scaled(direction: Float64Array, unit: boolean): number[] {
  const norm = Math.hypot(...direction);
  if (!Number.isFinite(norm) || norm === 0) {
    throw new MechanistError('bad-input', 'The direction to steer along is 0 or not finite. Choose another.');
  }
  return Array.from(direction, (value) => (unit ? value / norm : value));
}

/** Metric and next tokens from the logits of every position `[pos, d_vocab]`. */
function outputs(
  { model }: AnalysisContext,
  item: SweepItem,
  metric: MetricSpec,
  logits: Float32Array,
  clean: Float32Array,
  top: number,
): SteerOutputs {
  const { dVocab } = model.config;
  const rowOf = (all: Float32Array) => (position: number) => all.subarray(position * dVocab, (position + 1) * dVocab);
  const score = (spec: MetricSpec) => metricOfItem(spec, rowOf(logits), item.targets, rowOf(clean)).value;
  const last = rowOf(logits)(item.ids.length - 1);
  const order = Array.from(last.keys()).sort((a, b) => last[b] - last[a]);
  const max = last[order[0]];
  const total = max + Math.log(last.reduce((sum, logit) => sum + Math.exp(logit - max), 0));
  const next = order
    .slice(0, top)
    .map((id) => ({ id, text: model.tokenizer.tokenText(id), logit: last[id], logprob: last[id] - total }));
  return { value: score(metric), kl: score({ kind: 'kl' }), next };
}

async function logitsOf(
  runner: ModelRunner,
  ids: Int32Array,
  request: SteerRequest,
  vector: readonly number[],
  factor: number,
  context: AnalysisContext,
): Promise<Float32Array> {
  const { hook, positions } = request;
  const at = { hook, ...(positions && { positions }) };
  const interventions = factor === 0 ? [] : [{ at, kind: 'add' as const, vector, factor }];
  const result = await runner.runWith([ids], { interventions, signal: context.signal });
  return (await result.logits({ positions: 'all' })).data;
}

/**
 * Steering (Turner et al. 2023; Li et al. 2023): adds a direction at a hook point, and compares metric and next tokens with
 * those of the unchanged run. One forward pass a factor, with the logits of every position.
 * @throws MechanistError `bad-input` (unknown hook, a vector of another width, no direction), `token-splits`
 */
export async function steer(context: AnalysisContext, request: SteerRequest): Promise<SteerDocument> {
  const { model, runner, onProgress } = context;
  const started = performance.now();
  const { items, metric, warnings } = resolveGridRequest(
    {
      ...{ analysis: 'ablate', sites: 'heads', mode: 'zero', model: request.model, prompts: [request.prompt] },
      ...(request.metric && { metric: request.metric }),
    },
    model.tokenizer,
    model.config.nCtx,
  );
  const [item] = items;
  const hook = hookName(parseHookPoint(request.hook, model.config));
  const named = { ...request, hook };
  const vector = scaled(await directionOf(context, named), request.unit ?? true);
  const clean = await logitsOf(runner, item.ids, named, vector, 0, context);
  const { top = DEFAULT_TOP } = request;
  const steered: SteerDocument['steered'][number][] = [];
  for (const [index, factor] of request.factors.entries()) {
    const logits = await logitsOf(runner, item.ids, named, vector, factor, context);
    steered.push({ factor, ...outputs(context, item, metric, logits, clean, top) });
    onProgress?.({ done: index + 1, total: request.factors.length, label: `factor ${factor}` });
  }
  const where = request.positions === undefined ? 'every position' : `positions ${request.positions.join(', ')}`;
  const intervention = `a direction of length ${request.unit === false ? Math.hypot(...vector).toPrecision(3) : '1'}, times a factor, added at ${hook}, ${where}`;
  return {
    schemaVersion: 1,
    kind: 'steer',
    warnings,
    provenance: gridProvenance(context, request.model, items, intervention, JSON.stringify(named)),
    intervention,
    request,
    metric: { spec: metric, ...describeMetric(metric, items) },
    item: item.shown,
    clean: outputs(context, item, metric, clean, clean, top),
    steered,
    cost: {
      forwardPasses: 1 + request.factors.length + (request.direction.kind === 'prompts' ? 2 : 0),
      seconds: (performance.now() - started) / 1000,
    },
  };
}
