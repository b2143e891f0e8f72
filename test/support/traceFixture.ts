import type { PackedArray } from '../../src/shared/packedArray.ts';
import type { HeadDetail, LensTable, PropagationDetail, TraceDocument } from '../../src/shared/traceDocument.ts';

/** A small seeded generator (mulberry32), uniform in [0, 1). */
function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const sum = (values: Iterable<number>): number => [...values].reduce((total, value) => total + value, 0);

export interface FixtureOptions {
  readonly tokens?: readonly string[];
  readonly nLayers?: number;
  readonly nHeads?: number;
  readonly seed?: number;
  /** Changes each component's number; gets what the seeded generator made. */
  readonly change?: (value: number, layer: number) => number;
  readonly method?: 'direct' | 'occlusion';
  /** A model with learned positions and biases. */
  readonly biases?: boolean;
}

export const nurse = ['After', ' the', ' long', ' shift', ',', ' the', ' nurse', ' said', ' that'];

/** A trace with the shape of a real one: sparse heads, sums that hold. For tests of figures only. */
export function makeTrace(options: FixtureOptions = {}): TraceDocument {
  const { tokens = nurse, nLayers = 30, nHeads = 9, seed = 7, change = (v) => v, method = 'direct', biases } = options;
  const random = seeded(seed);
  const n = tokens.length;
  const noise = (): number => random() + random() + random() - 1.5;
  const weight = tokens.map((_, i) => (i === Math.floor(n * 0.7) ? 0.6 : 0.4 * random()));
  const total = sum(weight) || 1;
  const bySource = new Float32Array(nLayers * nHeads * n);
  const attention = new Float32Array(nLayers * nHeads * n);
  const heads = Array.from({ length: nLayers }, (_, layer) =>
    Array.from({ length: nHeads }, (_, head) => {
      const strong = random() < 0.06 * (layer / nLayers) ? 0.35 : 0.02;
      const value = change(noise() * strong * (layer > nLayers / 2 ? 1 : 0.4), layer);
      for (let i = 0; i < n; i++) {
        attention[(layer * nHeads + head) * n + i] = weight[i] / total;
        bySource[(layer * nHeads + head) * n + i] = (value * weight[i]) / total;
      }
      return value;
    }),
  );
  const mlps = heads.map((_, layer) => change(noise() * (layer > nLayers / 2 ? 0.18 : 0.03), layer));
  const embedding = change(0.012, -1);
  const positionEmbedding = biases ? change(-0.034, -1) : 0;
  const bias = biases ? change(0.021, -1) : 0;
  const value = sum(heads.flat()) + sum(mlps) + embedding + positionEmbedding + bias;
  const headTotal = sum(heads.flat());
  const attributions = tokens.map((_, i) => (headTotal * weight[i]) / total + (i === n - 1 ? value - headTotal : 0));
  let at = 0;
  return {
    schemaVersion: 1,
    kind: 'trace',
    complete: true,
    warnings: [],
    provenance: {
      mechanistVersion: '0.1.0',
      model: 'smollm2-135m',
      modelLabel: 'smollm2-135m Q4_1',
      family: 'llama',
      modelHash: 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53',
      patches: [],
      dtype: 'float32',
      bos: 'none added',
      weightProcessing: 'none',
      ablation: method === 'direct' ? 'none' : "token embedding replaced by the vocabulary's mean",
      hash: '3f9a1c7',
    },
    prompt: tokens.join(''),
    tokens: tokens.map((text, i) => {
      const start = at;
      at += text.length;
      return { id: 1000 + i, text, start, end: at };
    }),
    tokensInText: n,
    position: n - 1,
    observable: {
      label: '␣she − ␣he',
      terms: [
        { id: 1073, text: ' she', weight: 1 },
        { id: 384, text: ' he', weight: -1 },
      ],
      value,
      isDefault: false,
    },
    method,
    attributions,
    direct: {
      heads,
      mlps,
      embedding,
      positionEmbedding,
      bias,
      bySource: { dims: [nLayers, nHeads, n], data: bySource },
      attention: { dims: [nLayers, nHeads, n], data: attention },
    },
    next: [
      { id: 1073, text: ' she', logit: 18.2, logprob: Math.log(0.41) },
      { id: 384, text: ' he', logit: 16.6, logprob: Math.log(0.08) },
      { id: 502, text: ' they', logit: 16.4, logprob: Math.log(0.07) },
      { id: 260, text: ' the', logit: 16.3, logprob: Math.log(0.06) },
    ],
  };
}

/** A lens that grows towards the document's observable. */
export function makeLens(document: TraceDocument, seed = 11): LensTable {
  const random = seeded(seed);
  const words = [' first', ' day', ' staff', ' said', ' goodbye', ' practitioner', ' latter', 'itude', ' who'];
  const layers = document.direct.heads.length;
  const positions = document.tokens.map((_, i) => i);
  const rows = ['emb', ...document.direct.heads.map((_, layer) => `L${layer}`)];
  const late = (r: number): number => (r / layers) ** 2;
  return {
    rows,
    positions,
    values: rows.map((_, r) =>
      positions.map((p) => document.observable.value * late(r) * ((p + 1) / positions.length) + (random() - 0.5) * 0.3),
    ),
    top: rows.map((_, r) =>
      positions.map((p) => {
        const text = late(r) < 0.15 ? document.tokens[p].text : words[(p + Math.floor(late(r) * 3)) % words.length];
        return { id: 1, text, p: 0.05 + 0.6 * random() };
      }),
    ),
  };
}

/** A head that looks mostly at one token. */
export function makeHead(document: TraceDocument, layer: number, head: number, source: number, seed = 13): HeadDetail {
  const random = seeded(seed);
  const n = document.tokens.length;
  const data = new Float32Array(n * n);
  for (let q = 0; q < n; q++) {
    const raw = Array.from({ length: q + 1 }, (_, k) => (k === 0 ? 1.2 : k === source ? 2 : random() * 0.6));
    for (let k = 0; k <= q; k++) data[q * n + k] = raw[k] / sum(raw);
  }
  const pattern: PackedArray = { dims: [n, n], data };
  const entry = (text: string, logit: number) => ({ id: 1, text, logit });
  return {
    layer,
    head,
    pattern,
    ov: {
      source,
      up: [
        entry(' she', 4.12),
        entry(' her', 3.87),
        entry(' herself', 3.51),
        entry('She', 2.98),
        entry(' mother', 2.22),
      ],
      down: [
        entry(' he', -3.64),
        entry(' his', -3.4),
        entry(' himself', -3.02),
        entry('He', -2.71),
        entry(' father', -1.96),
      ],
    },
  };
}

/** What observable propagation adds to a trace, in the shape of a real one. For tests of what is shown only. */
export function withPropagation(document: TraceDocument, change: Partial<PropagationDetail> = {}): TraceDocument {
  const scores = document.attributions.map((value) => 2 * value);
  const attention = document.tokens.map(() => 1 / document.tokens.length);
  const contributions = scores.map((score, i) => score * (attention[i] ?? 0));
  const contribution = sum(contributions);
  const propagation: PropagationDetail = {
    ...{ path: 'L21.H4@7', pathIsDefault: false, norm: 'frozen', view: 'score' },
    ...{ hook: 'blocks.21.hook_resid_pre', scores, attention, contributions, contribution },
    ...{ share: contribution / document.observable.value, norms: [{ norm: 'ln_final', rho: 0.1, angle: 0.1 }] },
    ...change,
  };
  const attributions = propagation.view === 'score' ? propagation.scores : propagation.contributions;
  return { ...document, method: 'observable-propagation', attributions, propagation };
}
