import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ActivationCache } from '../../../src/core/engine/activationCache.ts';
import { Backward } from '../../../src/core/engine/backward/backward.ts';
import type { FreezablePart } from '../../../src/core/engine/backward/backwardGraph.ts';
import { ModelRunner } from '../../../src/core/engine/modelRunner.ts';
import type { ModelConfig } from '../../../src/core/models/modelConfig.ts';
import type { OpenModel } from '../../../src/core/models/openModel.ts';
import { type FeatureVector, featureVector } from '../../../src/core/observables/featureVector.ts';
import { dot, length, plus } from '../../../src/core/observables/vectors.ts';
import type { NormMode } from '../../../src/shared/features.ts';
import { distance } from '../../support/gradients.ts';
import { type OracleRun, oracleRun } from '../../support/oracle.ts';
import { overwriteTensor } from '../../support/overwriteTensor.ts';
import { normals, randomModel, SHAPES } from '../../support/randomModel.ts';
import { type RestrictedNode, restrictedRun } from '../../support/restrictedRun.ts';

const TOKENS = [5, 17, 3];
const LAST = TOKENS.length - 1;
const TERMS = [
  { id: 7, text: ' t7', weight: 1 },
  { id: 12, text: ' t12', weight: -1.5 },
];
const OBSERVABLE = { label: 't7 − 1.5·t12', terms: TERMS };

/** Two layers of two heads, so that every path can be gone through. */
function small(config: ModelConfig): ModelConfig {
  const heads = { nLayers: 2, nHeads: 2, nKeyValueHeads: config.nKeyValueHeads < config.nHeads ? 1 : 2, dHead: 12 };
  return { ...config, ...heads, attention: { ...config.attention, windows: [null, null] } };
}

interface Step {
  readonly text: string;
  readonly layer: number;
  readonly kind: 'head' | 'mlp';
  readonly head?: number;
}

/** Every sequence of nodes, nearest the logits first. */
function sequences({ nHeads, parallelResidual }: ModelConfig, mlps: boolean): Step[][] {
  const stages: Step[][] = [1, 0].flatMap((layer) => {
    const heads = Array.from({ length: nHeads }, (_, head) => ({
      text: `L${layer}.H${head}`,
      layer,
      kind: 'head' as const,
      head,
    }));
    const own = mlps ? [{ text: `MLP ${layer}`, layer, kind: 'mlp' as const }] : [];
    return parallelResidual ? [[...heads, ...own]] : [own, heads];
  });
  return stages.reduce<Step[][]>(
    (found, stage) => found.flatMap((path) => [path, ...stage.map((step) => [...path, step])]),
    [[]],
  );
}

/** Every choice of tokens for a sequence, with where each node writes. */
function placed(path: readonly Step[], at = LAST): (Step & { readonly reads: number; readonly writes: number })[][] {
  const [step, ...rest] = path;
  if (step === undefined) return [[]];
  const sources = step.kind === 'mlp' ? [at] : Array.from({ length: at + 1 }, (_, i) => i);
  return sources.flatMap((reads) => placed(rest, reads).map((tail) => [{ ...step, reads, writes: at }, ...tail]));
}

describe.each(['gpt2', 'gptNeo', 'gptNeoX', 'llama', 'mistral'])('all paths of %s', (shape) => {
  const config = small(SHAPES[shape]);
  const { dModel } = config;
  const random = normals(9);
  const row = () => Float64Array.from({ length: dModel }, random);
  let model: OpenModel;
  let runner: ModelRunner;
  let cache: ActivationCache;
  let clean: OracleRun;
  let remove: () => void;

  const open = async () => {
    runner = await ModelRunner.open(model, { threads: 1 });
    cache = new ActivationCache(runner, 1 << 24);
    clean = oracleRun(config, model.weights, TOKENS);
  };
  beforeAll(async () => {
    ({ model, remove } = randomModel(config, 6));
    await open();
  });
  afterAll(async () => {
    await runner.close();
    remove();
  });

  const observableOf = (logits: readonly number[]) =>
    TERMS.reduce((sum, { id, weight }) => sum + weight * logits[id], 0);
  const feature = (path: string, norm: NormMode = 'frozen', observable = OBSERVABLE): Promise<FeatureVector> =>
    featureVector({ runner, cache }, { observable, path, norm }, { ids: TOKENS });
  const attentionOf = (nodes: readonly RestrictedNode[]) =>
    nodes.reduce((product, { kind, layer, head, reads, writes }) => {
      const pattern = clean.activations.get(`blocks.${layer}.attn.hook_pattern.${head}`);
      return kind === 'head' ? product * (pattern?.[writes][reads] ?? Number.NaN) : product;
    }, 1);
  const textOf = (nodes: readonly { readonly text: string; readonly reads: number }[]) =>
    [...nodes.map(({ text, reads }) => `${text}@${reads + 1}`), `emb@${(nodes.at(-1)?.reads ?? LAST) + 1}`].join(
      ' <= ',
    );

  it('4: sum up at each token to the gradient of the observable, with frozen and with real norms', async () => {
    const backward = new Backward(runner);
    const modes: [NormMode, FreezablePart[]][] = [
      ['frozen', ['patterns', 'norm-scales']],
      ['jacobian', ['patterns']],
    ];
    for (const [norm, freeze] of modes) {
      const sums = TOKENS.map((): Float64Array => new Float64Array(dModel));
      for (const path of sequences(config, true)) {
        for (const nodes of placed(path)) {
          const at = nodes.at(-1)?.reads ?? LAST;
          sums[at] = plus(sums[at], (await feature(textOf(nodes), norm)).vector, attentionOf(nodes));
        }
      }
      const { gradients } = await backward.gradients(
        [TOKENS],
        { kind: 'linear', items: [[{ position: LAST, terms: TERMS }]] },
        { hooks: ['blocks.0.hook_resid_pre'], freeze },
      );
      const wanted = gradients.get('blocks.0.hook_resid_pre')?.data ?? [];
      expect(
        distance(
          sums.flatMap((own) => [...own]),
          wanted,
        ),
        norm,
      ).toBeLessThan(1e-4);
    }
  });

  /** Paths of every kind of step, with where each node writes. */
  const chosen = (
    config.parallelResidual
      ? [
          ['L1.H0', 'MLP 0'],
          ['MLP 1', 'L0.H1'],
        ]
      : [
          ['L1.H1', 'MLP 0', 'L0.H0'],
          ['MLP 1', 'L1.H0'],
        ]
  ).map((names) => {
    const path = sequences(config, true).find((own) => own.map(({ text }) => text).join() === names.join()) ?? [];
    return placed(path)[1];
  });

  it('7: are what the model does along that path alone, and not with the two norms of a block exchanged', async () => {
    for (const nodes of chosen) {
      const own = await feature(nodes.map(({ text, reads }) => `${text}@${reads + 1}`).join(' <= '), 'jacobian');
      const slopeOf = (weights: OpenModel['weights'], v: Float64Array) => {
        const restriction = { config, weights, tokens: TOKENS, clean, nodes, freezeScales: false };
        const [up, down] = [1e-4, -1e-4].map((step) => {
          return observableOf(
            restrictedRun(
              restriction,
              [...v].map((value) => step * value),
            )[LAST],
          );
        });
        return (up - down) / 2e-4;
      };
      const { weights } = model;
      const exchanged = { ...weights, blocks: weights.blocks.map((b) => ({ ...b, norm1: b.norm2, norm2: b.norm1 })) };
      const directions = Array.from({ length: 8 }, row);
      const found = directions.map((v) => attentionOf(nodes) * dot(own.vector, v));
      expect(
        distance(
          found,
          directions.map((v) => slopeOf(weights, v)),
        ),
      ).toBeLessThan(1e-4);
      expect(
        distance(
          found,
          directions.map((v) => slopeOf(exchanged, v)),
        ),
      ).toBeGreaterThan(0.02);
    }
  });

  it('9: with frozen scales and no MLP, change the observable by exactly their score', async () => {
    const nodes = placed(sequences(config, false).find((path) => path.length === 2) ?? [])[1];
    const own = await feature(nodes.map(({ text, reads }) => `${text}@${reads + 1}`).join(' <= '));
    const restriction = { config, weights: model.weights, tokens: TOKENS, clean, nodes, freezeScales: true };
    for (const [v, alpha] of [
      [row(), 0.5],
      [own.vector, 2],
      [row(), -3],
    ] as const) {
      const change =
        observableOf(
          restrictedRun(
            restriction,
            [...v].map((value) => alpha * value),
          )[LAST],
        ) - observableOf(clean.logits[LAST]);
      const wanted = alpha * attentionOf(nodes) * dot(own.vector, v);
      expect(Math.abs(change - wanted)).toBeLessThan(1e-4 * Math.max(Math.abs(wanted), 1e-3));
    }
    expect(dot(own.vector, own.vector)).toBeCloseTo(length(own.vector) ** 2, 10);
  });

  it('12: change sign with the sides of the observable, and scale with it', async () => {
    const path = 'L1.H1@2 <= MLP 0';
    const scaled = (factor: number) => ({
      label: '',
      terms: TERMS.map((term) => ({ ...term, weight: factor * term.weight })),
    });
    for (const norm of ['ignore', 'scaled', 'frozen', 'jacobian', 'secant'] as const) {
      const [own, swapped, doubled] = [
        await feature(path, norm),
        await feature(path, norm, scaled(-1)),
        await feature(path, norm, scaled(2)),
      ];
      const limit = norm === 'secant' ? 1e-6 : 1e-9;
      expect(
        distance(
          swapped.vector,
          own.vector.map((value) => -value),
        ),
        norm,
      ).toBeLessThan(limit);
      expect(
        distance(
          doubled.vector,
          own.vector.map((value) => 2 * value),
        ),
        norm,
      ).toBeLessThan(limit);
      expect(doubled.offset).toBeCloseTo(2 * own.offset, 6);
    }
  });

  it('3: without MLPs, sum up to the observable with all biases', async () => {
    await runner.close();
    for (const { mlp } of model.weights.blocks) {
      for (const weight of [mlp.out.weight, ...(mlp.out.bias === null ? [] : [mlp.out.bias])]) {
        await overwriteTensor(weight, new Float32Array(weight.byteLength / 4));
      }
    }
    await open();
    const outBias = await Promise.all(
      model.weights.blocks.map(async ({ attention: { out } }) =>
        out.bias === null ? new Float32Array(dModel) : runner.files.tensor(out.bias),
      ),
    );
    const offsets = new Map<string, number>();
    let [sum, count] = [0, 0];
    // Shorter paths first: what each node adds to the offset of the path before it is its own bias.
    for (const path of sequences(config, false).sort((a, b) => a.length - b.length)) {
      for (const nodes of placed(path)) {
        count += 1;
        const key = textOf(nodes);
        const { vector, offset } = await feature(key);
        offsets.set(key, offset);
        const at = nodes.at(-1)?.reads ?? LAST;
        const embedded = clean.activations.get('blocks.0.hook_resid_pre')?.[at] ?? [];
        const below = outBias.slice(0, nodes.at(-1)?.layer ?? config.nLayers);
        const shares = attentionOf(nodes);
        const before = nodes.length === 0 ? 0 : (offsets.get(textOf(nodes.slice(0, -1))) ?? Number.NaN);
        sum +=
          shares *
          (dot(vector, embedded) + below.reduce((total, bias) => total + dot(vector, bias), 0) + offset - before);
      }
    }
    expect(count).toBe(1 + 4 * 3 + 4 * 6);
    const value = observableOf(clean.logits[LAST]);
    expect(Math.abs(sum - value)).toBeLessThan(1e-4 * Math.max(1, Math.abs(value)));
  });
});
