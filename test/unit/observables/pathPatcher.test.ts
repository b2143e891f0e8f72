import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FinalNorm } from '../../../src/core/engine/finalNorm.ts';
import { HeadWeights } from '../../../src/core/engine/headWeights.ts';
import { ModelRunner } from '../../../src/core/engine/modelRunner.ts';
import { HeadOutputs } from '../../../src/core/engine/sweeps/headOutputs.ts';
import { SweepStack } from '../../../src/core/engine/sweeps/sweepStack.ts';
import type { ModelConfig } from '../../../src/core/models/modelConfig.ts';
import type { OpenModel } from '../../../src/core/models/openModel.ts';
import { type PathPair, readPathPair } from '../../../src/core/observables/pathPair.ts';
import { type FinalNormMode, PathPatcher, type PlacedNode } from '../../../src/core/observables/pathPatcher.ts';
import { extensionsOf, lengthen, type SearchLength } from '../../../src/core/observables/pathSearch.ts';
import { dot, plus } from '../../../src/core/observables/vectors.ts';
import { type OracleRun, oracleRun } from '../../support/oracle.ts';
import { randomModel, SHAPES } from '../../support/randomModel.ts';
import { type RestrictedNode, restrictedRun } from '../../support/restrictedRun.ts';

const CLEAN = [5, 17, 3, 9];
/** Differs at the second token, so that the first has nothing to tell. */
const DIRTY = [5, 8, 3, 9];
const LAST = CLEAN.length - 1;
const TERMS = [
  { id: 7, weight: 1 },
  { id: 12, weight: -1.5 },
];
const observableOf = (logits: readonly number[]) => TERMS.reduce((sum, { id, weight }) => sum + weight * logits[id], 0);

/** Two layers of two heads, so that every path can be gone through. */
function small(config: ModelConfig): ModelConfig {
  const heads = { nLayers: 2, nHeads: 2, nKeyValueHeads: config.nKeyValueHeads < config.nHeads ? 1 : 2, dHead: 12 };
  return { ...config, ...heads, attention: { ...config.attention, windows: [null, null] } };
}

const keyOf = (path: readonly PlacedNode[]) => JSON.stringify(path);

describe.each(['gpt2', 'gptNeo', 'gptNeoX', 'llama', 'mistral'])('patched paths of %s', (shape) => {
  const config = small(SHAPES[shape]);
  let model: OpenModel;
  let runner: ModelRunner;
  let remove: () => void;
  let observable: { direction: Float64Array; bias: number };
  let [cleanRun, dirtyRun] = [null, null] as unknown as [OracleRun, OracleRun];

  const read = async (places: readonly number[], dirty: readonly number[] = DIRTY): Promise<PathPair> => {
    const stack = new SweepStack(runner);
    return readPathPair(runner, stack, { clean: CLEAN, dirty, places, end: places.indexOf(LAST) }, {});
  };
  const patcher = (pair: PathPair, mode: FinalNormMode) =>
    new PathPatcher({ sweep: new SweepStack(runner), heads: new HeadOutputs(runner) }, pair, observable, mode);
  const extend = (pair: PathPair, path: readonly PlacedNode[]) => {
    const readable = (from: number, to: number) => pair.places[from] <= pair.places[to];
    return extensionsOf(config, path, { end: pair.end, places: pair.places.length, readable });
  };
  const search = async (own: PathPatcher, beam: number, length: number): Promise<SearchLength[]> => {
    const found: SearchLength[] = [];
    for (let step = 0; step < length; step += 1) {
      const before = found.at(-1)?.kept.map(({ nodes }) => nodes) ?? [[]];
      const evaluate = async (path: readonly PlacedNode[], nodes: readonly PlacedNode[]) =>
        Array.from(await own.contributions(path, nodes, {}), (value) => [value]);
      found.push(await lengthen(before, beam, (path) => extend(own.pair, path), evaluate));
    }
    return found;
  };

  beforeAll(async () => {
    ({ model, remove } = randomModel(config, 3));
    runner = await ModelRunner.open(model, { threads: 1 });
    observable = await runner.unembedding.direction(TERMS);
    [cleanRun, dirtyRun] = [CLEAN, DIRTY].map((tokens) => oracleRun(config, model.weights, tokens));
  });
  afterAll(async () => {
    await runner.close();
    remove();
  });

  /** The model in which that path alone carries the change, in float64. */
  const oracleContribution = (path: readonly PlacedNode[], places: readonly number[]) => {
    const nodes = path.map(({ place, ...node }, i): RestrictedNode => {
      return { ...node, reads: places[place], writes: i === 0 ? LAST : places[path[i - 1].place] };
    });
    const first = nodes[nodes.length - 1];
    const mid = first.kind === 'mlp' && !config.parallelResidual;
    const hook = `blocks.${first.layer ?? 0}.${mid ? 'hook_resid_mid' : 'hook_resid_pre'}`;
    const [clean, dirty] = [cleanRun, dirtyRun].map((run) => run.activations.get(hook)?.[first.reads] ?? []);
    const change = dirty.map((value, i) => value - clean[i]);
    const restriction = { config, weights: model.weights, tokens: CLEAN, clean: cleanRun, nodes, freezeScales: false };
    return observableOf(cleanRun.logits[LAST]) - observableOf(restrictedRun(restriction, change)[LAST]);
  };

  it('are what the model does along that path alone; a beam wider than all paths finds every one', async () => {
    const places = [1, 2, 3];
    const own = patcher(await read(places), 'real');
    expect(own.clean).toBeCloseTo(observableOf(cleanRun.logits[LAST]), 4);
    const every = new Map<string, number>();
    const visit = (path: readonly PlacedNode[]): void => {
      for (const node of extend(own.pair, path)) {
        const longer = [...path, node];
        every.set(keyOf(longer), oracleContribution(longer, places));
        visit(longer);
      }
    };
    visit([]);
    const deepest = config.parallelResidual ? 3 : 5;
    const found = await search(own, 10_000, deepest + 1);
    expect(found[deepest].kept).toEqual([]);
    const kept = found.flatMap((length) => length.kept);
    expect(kept.length).toBe(every.size);
    expect(every.size).toBeGreaterThan(40);
    for (const { nodes, rows } of kept) {
      expect(Math.abs(rows[0] - (every.get(keyOf(nodes)) ?? Number.NaN)), keyOf(nodes)).toBeLessThan(2e-4);
    }
    for (const { kept: sorted } of found) {
      const sizes = sorted.map(({ rows }) => Math.abs(rows[0]));
      expect(sizes).toEqual([...sizes].sort((a, b) => b - a));
    }
    // Both signs are kept, and a narrow beam keeps the strongest of what it lengthens.
    expect(kept.some(({ rows }) => rows[0] < -1e-3) && kept.some(({ rows }) => rows[0] > 1e-3)).toBe(true);
    const [first, second] = await search(own, 2, 2);
    expect(first.kept).toEqual(found[0].kept.slice(0, 2));
    const parents = first.kept.map(({ nodes }) => keyOf(nodes));
    const children = found[1].kept.filter(({ nodes }) => parents.includes(keyOf(nodes.slice(0, -1))));
    expect(second.kept.map(({ nodes }) => keyOf(nodes))).toEqual(children.slice(0, 2).map(({ nodes }) => keyOf(nodes)));
  });

  it('11: are exactly 0 where both prompts are the same', async () => {
    const own = patcher(await read([0, 1, 2, 3], CLEAN), 'real');
    const paths = (await search(own, 40, 3)).flatMap(({ kept }) => kept);
    expect(paths.length).toBeGreaterThan(60);
    expect(paths.filter(({ rows }) => rows[0] !== 0)).toEqual([]);
  });

  it('11: of one head are its attention times its feature along the change of the normed input', async () => {
    const pair = await read([0, 1, 2, 3]);
    const own = patcher(pair, 'frozen');
    const along = runner.finalNorm.pullBack(observable.direction, runner.finalNorm.scale(pair.clean));
    for (let layer = 0; layer < config.nLayers; layer += 1) {
      const norm = await FinalNorm.read(config, model.weights.blocks[layer].norm1, runner.files);
      const weights = await HeadWeights.read(runner, layer);
      for (let head = 0; head < config.nHeads; head += 1) {
        const y = weights.pullBack(head, along).vector;
        const sources = await Promise.all(
          [0, 1, 2, 3].map(async (place) => {
            const rows = [cleanRun, dirtyRun].map((run) =>
              norm.normed(Float64Array.from(run.activations.get(`blocks.${layer}.hook_resid_pre`)?.[place] ?? [])),
            );
            const attention = cleanRun.activations.get(`blocks.${layer}.attn.hook_pattern.${head}`)?.[LAST][place];
            const wanted = (attention ?? Number.NaN) * dot(y, plus(rows[0], rows[1], -1));
            const [found] = await own.contributions([], [{ kind: 'head', layer, head, place }], {});
            expect(Math.abs(found - wanted)).toBeLessThan(1e-4);
            return found;
          }),
        );
        expect(sources[0]).toBe(0);
      }
    }
  });

  it('of length 1 sum up to the whole difference, less what other tokens and changed patterns carry', async () => {
    for (const places of [
      [0, 1, 2, 3],
      [1, 3],
    ]) {
      const pair = await read(places);
      const own = patcher(pair, 'frozen');
      const values = await own.contributions([], extend(pair, []), {});
      const along = runner.finalNorm.pullBack(observable.direction, runner.finalNorm.scale(pair.clean));
      const parts =
        values.reduce((sum, value) => sum + value, 0) + own.fall(pair.otherTokens) + own.fall(pair.patterns);
      expect(Math.abs(parts - dot(along, plus(pair.clean, pair.dirty, -1)))).toBeLessThan(1e-4);
      expect(Math.abs(own.fall(pair.patterns))).toBeGreaterThan(1e-3);
      if (places.length === 4) expect(Math.abs(own.fall(pair.otherTokens))).toBeLessThan(1e-5);
      else expect(Math.abs(own.fall(pair.otherTokens))).toBeGreaterThan(1e-4);
    }
  });
});
