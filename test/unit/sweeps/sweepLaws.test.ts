import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import { MechanistError } from '../../../src/shared/errors.ts';
import { withCells } from '../../../src/shared/gridCells.ts';
import type {
  GridCell,
  GridDocument,
  GridPrompt,
  GridRequest,
  PathPatchRequest,
} from '../../../src/shared/gridDocument.ts';
import { gridFromJson, gridToJson } from '../../../src/shared/gridFile.ts';
import { sweep, WORDS, wordEngine } from '../../support/gridContext.ts';
import { randomModel, SHAPES } from '../../support/randomModel.ts';
import { maxDelta } from '../reference/referenceFigures.ts';

const config = SHAPES.llama;
const { nLayers, nHeads } = config;
let engine: AnalysisEngine;
let remove: () => void;

beforeAll(async () => {
  const random = randomModel(config, 5);
  remove = random.remove;
  engine = await wordEngine(random.model);
});
afterAll(async () => {
  await engine.close();
  remove();
});

const pair: GridPrompt = { clean: ' t3 t9 t4 t20 t7', corrupted: ' t3 t9 t11 t20 t7', answer: ' t5', foils: [' t6'] };
const other: GridPrompt = { clean: ' t8 t1 t2 t2 t40', corrupted: ' t8 t1 t2 t3 t40', answer: ' t9', foils: [' t6'] };
const single = ({ clean, answer, foils }: GridPrompt): GridPrompt => ({ clean, answer, foils });
const patch = { ...WORDS, analysis: 'patch' as const, prompts: [pair, other] };
const ablate = {
  ...{ ...WORDS, analysis: 'ablate' as const, sites: 'heads' as const, mode: 'zero' as const },
  prompts: [single(pair), single(other)],
};

async function failure(request: GridRequest, options = {}): Promise<MechanistError> {
  const error: unknown = await sweep(engine, request, options).catch((reason: unknown) => reason);
  if (error instanceof MechanistError) return error;
  throw new Error(`expected a MechanistError, got ${JSON.stringify(error).slice(0, 80)}`);
}

describe('laws', () => {
  it('reproduces the clean run when a whole layer comes from it', async () => {
    for (const site of ['resid_pre', 'resid_post'] as const) {
      const { values, clean } = await sweep(engine, { ...patch, site, byPosition: false });
      for (const [value] of values) expect(value).toBeCloseTo(clean.mean, 4);
    }
  });

  it('changes nothing when a run is patched from itself, or from its like', async () => {
    // The second prompt differs from the first token on, so that nothing is left out.
    const prompts = [
      { ...pair, corrupted: pair.clean },
      { ...other, corrupted: ' t9 t1 t2 t3 t40' },
    ];
    for (const site of ['resid_pre', 'attn_out', 'mlp_out', 'z', 'k', 'pattern'] as const) {
      const { byItem, clean } = await sweep(engine, { ...patch, prompts, site });
      const own = byItem.data.filter((_, i) => i % 2 === 0);
      for (const value of own) expect(value).toBeCloseTo(clean.byItem[0], 4);
    }
  });

  it('finds nothing where causality forbids it, bit for bit', async () => {
    const early = { ...pair, position: 2 };
    const { values, corrupted } = await sweep(engine, { ...patch, prompts: [early], site: 'resid_pre' });
    for (const row of values) {
      expect(row.slice(3)).toEqual([corrupted?.mean, corrupted?.mean].map((value) => Math.fround(value ?? 0)));
    }
    // The prompts part at position 2: what lies before is the same in both.
    const same = values.flatMap((row) => row.slice(0, 2));
    for (const value of same) expect(value).toBe(Math.fround(corrupted?.mean ?? Number.NaN));
  });

  it('adds up: with MLPs frozen, direct paths change the stream by independent summands', async () => {
    const request = { ...WORDS, analysis: 'path-patch' as const, receivers: 'final' as const, prompts: [pair] };
    const frozen = await sweep(engine, { ...request, mlps: 'frozen' });
    const recomputed = await sweep(engine, { ...request, mlps: 'recomputed' });
    const heads = await sweep(engine, { ...patch, site: 'z', prompts: [pair] });
    // In the last layer nothing lies between a head and the end but its own MLP.
    recomputed.values[nLayers - 1].forEach((value, head) => {
      expect(value).toBeCloseTo(heads.values[nLayers - 1][head] ?? Number.NaN, 4);
    });
    expect(frozen.values.flat()).not.toEqual(recomputed.values.flat());
  });

  it('patches paths without running what two prompts share, and finds the same', async () => {
    const last = nLayers - 1;
    const ends: PathPatchRequest['receivers'][] = [
      'final',
      (['q', 'k', 'v'] as const).map((input) => ({ layer: 1, head: 1, input })),
      [
        { layer: 1, head: 0, input: 'v' },
        { layer: last, head: 1, input: 'k' },
      ],
    ];
    // The other pair parts at once: with it, whole prompts are run.
    const early = { ...pair, corrupted: ' t8 t9 t11 t20 t7' };
    for (const receivers of ends) {
      for (const mlps of ['frozen', 'recomputed'] as const) {
        const request = { ...WORDS, analysis: 'path-patch' as const, receivers, mlps };
        const alone = await sweep(engine, { ...request, prompts: [pair] });
        const both = await sweep(engine, { ...request, prompts: [pair, early] });
        const own = both.byItem.data.filter((_, i) => i % 2 === 0);
        expect(maxDelta(alone.byItem.data, own), `${JSON.stringify(receivers)} ${mlps}`).toBeLessThan(1e-4);
        // Whole blocks are what is counted: there is one between these two receivers.
        if (receivers.length !== 2) continue;
        expect(2 * alone.cost.forwardPasses).toBeLessThan(both.cost.forwardPasses);
      }
    }
  });

  it('normalises on the scale of the two runs', async () => {
    const metric = { kind: 'logit-difference' as const, foil: 'one' as const };
    const raw = await sweep(engine, { ...patch, site: 'resid_pre', metric });
    const share = await sweep(engine, { ...patch, site: 'resid_pre', metric: { ...metric, normalize: 'denoising' } });
    expect(share.clean.mean).toBeCloseTo(1, 5);
    expect(share.corrupted?.mean).toBeCloseTo(0, 5);
    const [low, high] = [raw.corrupted?.mean ?? 0, raw.clean.mean];
    raw.values.flat().forEach((value, i) => {
      expect(share.values.flat()[i]).toBeCloseTo(((value ?? 0) - low) / (high - low), 3);
    });
  });

  it('knows every metric, and sums those of several answers', async () => {
    const kinds = ['log-prob', 'prob', 'kl', 'cross-entropy', 'rank'] as const;
    const found = new Map<string, GridDocument>();
    for (const kind of kinds) found.set(kind, await sweep(engine, { ...ablate, metric: { kind } }));
    const at = (kind: string) => found.get(kind)?.byItem.data ?? new Float32Array(0);
    at('log-prob').forEach((value, i) => {
      expect(at('cross-entropy')[i]).toBeCloseTo(-value, 5);
      expect(at('prob')[i]).toBeCloseTo(Math.exp(value), 5);
      expect(at('kl')[i]).toBeGreaterThanOrEqual(0);
      expect(Number.isInteger(at('rank')[i])).toBe(true);
    });
    expect(found.get('kl')?.clean.mean).toBeCloseTo(0, 6);
    const more = [{ answer: ' t9', foils: [' t2'], position: 1 }];
    const both = await sweep(engine, { ...ablate, prompts: [{ ...single(pair), more }] });
    const last = await sweep(engine, { ...ablate, prompts: [single(pair)] });
    const second = await sweep(engine, { ...ablate, prompts: [{ ...single(pair), ...more[0] }] });
    both.values.flat().forEach((value, i) => {
      const mean = ((last.values.flat()[i] ?? 0) + (second.values.flat()[i] ?? 0)) / 2;
      expect(value).toBeCloseTo(mean, 4);
    });
  });
});

describe('memory, prompts of unlike length', () => {
  it('gives the same numbers in little memory, and prompt by prompt', async () => {
    const long = single({ ...pair, clean: ' t3 t9 t4 t20 t7 t1 t2' });
    const prompts = [single(pair), long, single(other)];
    const whole = await sweep(engine, { ...ablate, prompts });
    const little = await sweep(engine, { ...ablate, prompts, memoryBytes: 12_000 });
    expect(little.cost.forwardPasses).toBeGreaterThan(whole.cost.forwardPasses);
    whole.byItem.data.forEach((value, i) => {
      expect(little.byItem.data[i]).toBeCloseTo(value, 4);
    });
    const alone = await sweep(engine, { ...ablate, prompts: [long] });
    alone.values.flat().forEach((value, i) => {
      expect(whole.byItem.data[3 * i + 1]).toBeCloseTo(value ?? Number.NaN, 4);
    });
  });

  it('says when not even one prompt fits', async () => {
    const error = await failure({ ...ablate, memoryBytes: 2000 });
    expect(error.code).toBe('model-too-large');
    expect(error.message).toContain('5 tokens');
  });

  it('refuses a mean at each position over prompts of unlike length, with the lengths', async () => {
    const prompts = [single(pair), { ...single(other), clean: ' t1 t2 t3 t4' }];
    const { message } = await failure({ ...ablate, prompts, mode: 'mean' });
    expect(message).toContain('4 (prompt 2), 5 (prompt 1)');
    expect((await failure({ ...ablate, prompts: [single(pair)], mode: 'mean' })).message).toContain('data set');
    expect((await failure({ ...ablate, prompts, sites: 'positions' })).message).toContain('equal length');
    const own = await sweep(engine, { ...ablate, prompts, mode: 'mean', meanOver: 'position' });
    expect(own.complete).toBe(true);
  });
});

describe('cancel and resume', () => {
  it('goes on where it was stopped, and gives the same document', async () => {
    const controller = new AbortController();
    let partial: GridDocument | undefined;
    const cells: GridCell[] = [];
    const stopped = sweep(
      engine,
      { ...ablate, memoryBytes: 40_000 },
      {
        onStarted: (document) => {
          partial = document;
        },
        onCells: (some) => {
          cells.push(...some);
          if (cells.length >= 4) controller.abort();
        },
      },
      { signal: controller.signal },
    );
    await expect(stopped).rejects.toMatchObject({ code: 'cancelled' });
    if (partial === undefined) throw new Error('It never started.');
    expect(cells.length).toBeLessThan(nLayers * nHeads);
    expect(partial.values.flat()).toEqual(new Array(nLayers * nHeads).fill(null));
    const file = gridFromJson(gridToJson(withCells(partial, cells)));
    const again: GridCell[] = [];
    const resumed = await sweep(engine, ablate, { resume: file, onCells: (some) => again.push(...some) });
    const fresh = await sweep(engine, ablate);
    expect(resumed.complete).toBe(true);
    expect(again.length).toBe(nLayers * nHeads - cells.length);
    resumed.byItem.data.forEach((value, i) => {
      expect(value).toBeCloseTo(fresh.byItem.data[i], 4);
    });
    expect(resumed.provenance.hash).toBe(fresh.provenance.hash);
  });

  it('refuses to go on from another question', async () => {
    const document = await sweep(engine, ablate);
    expect((await failure({ ...ablate, mode: 'resample' }, { resume: document })).message).toContain(
      'another question',
    );
    expect((await failure({ ...ablate, prompts: [single(pair)] }, { resume: document })).message).toContain(
      'other prompts',
    );
    const foreign = { ...document, provenance: { ...document.provenance, modelHash: 'x' } };
    expect((await failure(ablate, { resume: foreign })).message).toContain('another model');
  });
});

describe('bad input', () => {
  it.each([
    [
      'unlike lengths',
      { ...patch, prompts: [{ ...pair, corrupted: ' t3 t9 t11' }], site: 'z' as const },
      'they part at token 3',
    ],
    ['an answer of several tokens', { ...ablate, prompts: [{ ...single(pair), answer: ' t1 t2' }] }, ' t1'],
    ['a layer that is not there', { ...ablate, sites: 'neurons' as const, layer: 9 }, '0 to 2'],
    ['no layer', { ...ablate, sites: 'neurons' as const }, 'Say which layer'],
    ['a position outside', { ...ablate, prompts: [{ ...single(pair), position: 9 }] }, '5 tokens'],
    ['no prompts', { ...ablate, prompts: [] }, 'no prompt'],
    [
      'equal ids',
      {
        ...ablate,
        prompts: [
          { ...single(pair), id: 'a' },
          { ...single(other), id: 'a' },
        ],
      },
      '"a"',
    ],
    ['no corrupted prompt', { ...patch, prompts: [single(pair)], site: 'z' as const }, 'no corrupted prompt'],
    [
      'a metric without gradient',
      { ...ablate, metric: { kind: 'rank' as const }, method: 'attribution' as const },
      'rank',
    ],
    ['a flat metric', { ...ablate, metric: { kind: 'kl' as const }, method: 'attribution' as const }, 'flat'],
    [
      'a receiver that is not there',
      {
        ...patch,
        analysis: 'path-patch' as const,
        mlps: 'frozen' as const,
        receivers: [{ layer: 1, head: 4, input: 'q' as const }],
      },
      'heads 0 to 3',
    ],
    [
      'a head that is not there',
      { ...patch, site: 'k' as const, byPosition: true, heads: [{ layer: 0, head: nHeads - 1 }] },
      'key-value head',
    ],
    [
      'a head named twice',
      { ...patch, site: 'z' as const, byPosition: true, heads: [0, 0].map((head) => ({ layer: 1, head })) },
      'L1.H0 is named twice',
    ],
    ['heads of a stream', { ...patch, site: 'resid_pre' as const, heads: { layer: 1 } }, 'by position only'],
    ['a bad seed', { ...ablate, seed: -1 }, 'seed'],
  ])('refuses %s', async (_, request, words) => {
    expect((await failure(request)).message).toContain(words);
  });
});
