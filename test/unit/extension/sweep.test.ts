import { describe, expect, it } from 'vitest';
import { parsePromptFile } from '../../../src/core/tasks/promptFile.ts';
import { metricChoices } from '../../../src/extension/grid/metricChoices.ts';
import { readHeads, readReceivers } from '../../../src/extension/grid/receivers.ts';
import {
  cellsOfSweep,
  forwardPasses,
  mostFoils,
  possibleAnswers,
  type Sweep,
  type SweepKind,
  scoredOf,
  sweepName,
  sweepRequest,
  unlikeLengths,
} from '../../../src/extension/grid/sweep.ts';
import { metricKinds } from '../../../src/shared/metric.ts';
import type { ModelInfo } from '../../../src/shared/modelInfo.ts';

const heads: SweepKind = { analysis: 'ablate', sites: 'heads', mode: 'zero' };
const resid: SweepKind = { analysis: 'patch', site: 'resid_pre', byPosition: true, direction: 'denoising' };
const sweep = (change: Partial<Sweep> = {}): Sweep => ({
  kind: heads,
  method: 'exact',
  metric: null,
  prompts: 'all',
  answer: null,
  own: {},
  corrupted: 'front matter',
  ...change,
});
const file = (front: string, ...prompts: string[]) =>
  parsePromptFile(`---\n${front}\n---\n${prompts.join('\n---\n')}\n`);
const sheHe = 'observable: { " she": 1, " he": -1 }';

describe('the request of a prompt file', () => {
  it('has the positive term as answer, the negative ones as foils, and the position', () => {
    const request = sweepRequest(file(`${sheHe}\nposition: 3`, 'A b', 'C d'), sweep(), 'm');
    expect(request).toEqual({
      ...heads,
      model: 'm',
      method: 'exact',
      prompts: [
        { id: '1', clean: 'A b', answer: ' she', foils: [' he'], position: 2 },
        { id: '2', clean: 'C d', answer: ' she', foils: [' he'], position: 2 },
      ],
    });
  });

  it('of one prompt keeps its place in the file', () => {
    const { prompts } = sweepRequest(file(sheHe, 'A b', 'C d'), sweep({ prompts: 1 }), 'm');
    expect(prompts.map(({ id, clean }) => [id, clean])).toEqual([['2', 'C d']]);
  });

  it('takes the answer that was chosen among several; the others are no foils', () => {
    const several = file('observable: { " she": 1, " they": 1, " he": -1 }', 'A');
    expect(possibleAnswers(several)).toEqual([' she', ' they']);
    const [prompt] = sweepRequest(several, sweep({ answer: ' they' }), 'm').prompts;
    expect(prompt).toMatchObject({ answer: ' they', foils: [' he'] });
  });

  it('of a file without observable scores what each prompt itself compares', () => {
    const own = { A: { answer: ' x', foils: [' y'] } };
    expect(sweepRequest(file('model: m', 'A'), sweep({ own }), 'm').prompts[0]).toMatchObject({
      answer: ' x',
      foils: [' y'],
    });
    expect(() => sweepRequest(file('model: m', 'B'), sweep({ own }), 'm')).toThrow(/names no observable/);
  });

  it('refuses an observable without a positive weight', () => {
    expect(() => scoredOf([{ text: ' he', weight: -1 }], null)).toThrow(/positive weight/);
  });
});

describe('the corrupted prompt', () => {
  const patching = (change: Partial<Sweep> = {}) => sweep({ kind: resid, ...change });

  it('is one text for all, or one of a list for each', () => {
    const one = sweepRequest(file(`${sheHe}\ncorrupted: X y`, 'A b', 'C d'), patching(), 'm');
    expect(one.prompts.map(({ corrupted }) => corrupted)).toEqual(['X y', 'X y']);
    const each = sweepRequest(file(`${sheHe}\ncorrupted: [X, Y]`, 'A', 'C'), patching({ prompts: 1 }), 'm');
    expect(each.prompts.map(({ corrupted }) => corrupted)).toEqual(['Y']);
  });

  it('may be another prompt of the file, which is not swept itself', () => {
    const { prompts } = sweepRequest(file(sheHe, 'A b', 'C d'), patching({ corrupted: 1 }), 'm');
    expect(prompts.map(({ clean, corrupted }) => [clean, corrupted])).toEqual([['A b', 'C d']]);
  });

  it('is refused in words when it is missing, or not one for each', () => {
    expect(() => sweepRequest(file(sheHe, 'A'), patching(), 'm')).toThrow(/corrupted: into the front matter/);
    expect(() => sweepRequest(file(`${sheHe}\ncorrupted: [X]`, 'A', 'B'), patching(), 'm')).toThrow(
      /lists 1 prompts for 2/,
    );
    expect(() => sweepRequest(file(sheHe, 'A'), patching({ corrupted: 7 }), 'm')).toThrow(/no longer in the file/);
  });

  it('is no part of an ablation', () => {
    expect(sweepRequest(file(`${sheHe}\ncorrupted: X`, 'A'), sweep(), 'm').prompts[0]).not.toHaveProperty('corrupted');
  });

  it('of another length: where the two part', () => {
    expect(unlikeLengths(['a', 'b'], ['a', 'c'])).toBeNull();
    expect(unlikeLengths(['The', ' nurse', ' said'], ['The', ' old', ' nurse', ' said'])).toBe(
      '3 tokens against 4; they part at position 2: " nurse", " old"',
    );
    expect(unlikeLengths(['a'], ['a', 'b'])).toContain('position 2: the end, "b"');
  });
});

describe('metrics to choose from', () => {
  const labels = (setting: Parameters<typeof metricChoices>[0]) =>
    metricChoices(setting).flatMap(({ label, refusal }) => (refusal === null ? [label] : []));
  const exact = { foils: 1, method: 'exact', base: 'clean' } as const;

  it('begin with what is measured when nobody says', () => {
    expect(metricChoices(exact)[0]).toMatchObject({ label: 'Logit difference', spec: null, refusal: null });
    expect(labels(exact)).toHaveLength(metricKinds.length);
    const several = metricChoices({ ...exact, foils: 3 });
    expect(several[0]).toMatchObject({ label: 'Logit difference, mean of the foils', spec: null });
    expect(several[1].spec).toEqual({ kind: 'logit-difference', foil: 'max' });
    expect(metricChoices({ ...exact, foils: 0 })[0]).toMatchObject({ label: 'Log-probability', spec: null });
  });

  it('say why one cannot be had', () => {
    const reasons = (setting: Parameters<typeof metricChoices>[0]) =>
      metricChoices(setting).flatMap(({ label, refusal }) => (refusal === null ? [] : [`${label}: ${refusal}`]));
    expect(reasons(exact)).toEqual([]);
    expect(reasons({ ...exact, foils: 0 })).toEqual([
      'Logit difference: the observable has no token with a negative weight',
    ]);
    expect(reasons({ ...exact, method: 'attribution' }).join()).toMatch(
      /^KL divergence: not with Attribution: .*flat.*,Rank: .*no gradient$/,
    );
    expect(reasons({ ...exact, method: 'screened', base: 'corrupted' })).toEqual([
      'Rank: not with Screened: the metric rank has no gradient',
    ]);
  });

  it('are all normalised where a share is wanted', () => {
    const shares = metricChoices({ ...exact, normalize: 'noising' });
    expect(shares.map(({ spec }) => spec?.normalize)).toEqual(metricKinds.map(() => 'noising'));
    expect(shares[0].spec).toEqual({ kind: 'logit-difference', foil: 'one', normalize: 'noising' });
  });

  it('depend on the foils of the file', () => {
    expect(mostFoils(file(sheHe, 'A'), null)).toBe(1);
    expect(mostFoils(file('observable: { " she": 1, " he": -1, " it": -1 }', 'A'), null)).toBe(2);
    expect(mostFoils(file('observable: { " she": 1 }', 'A'), null)).toBe(0);
    expect(mostFoils(file('model: m', 'A'), null)).toBe(1);
  });

  it('are part of the request and of the file’s name', () => {
    const metric = { kind: 'kl', normalize: 'denoising' } as const;
    const request = sweepRequest(file(sheHe, 'A b'), sweep({ metric }), 'm');
    expect(request.metric).toEqual(metric);
    expect(sweepName(request)).toBe('ablate.heads.zero.kl.share-restored');
    const largest = { kind: 'logit-difference', foil: 'max' } as const;
    expect(sweepName({ ...request, metric: largest })).toBe('ablate.heads.zero.max-foil');
  });
});

describe('what a sweep costs', () => {
  const info = { nLayers: 12, nHeads: 12, nKeyValueHeads: 4, dMlp: 3072 } as ModelInfo;
  it.each<readonly [SweepKind, number]>([
    [heads, 144],
    [{ analysis: 'ablate', sites: 'mlps', mode: 'zero' }, 12],
    [{ analysis: 'ablate', sites: 'neurons', mode: 'zero', layer: 1 }, 3072],
    [{ analysis: 'ablate', sites: 'positions', mode: 'zero' }, 108],
    [resid, 108],
    [{ ...resid, byPosition: false }, 12],
    [{ analysis: 'patch', site: 'v', direction: 'noising' }, 48],
    [{ analysis: 'patch', site: 'v', byPosition: true, heads: { layer: 3 } }, 36],
    [{ analysis: 'patch', site: 'z', byPosition: true, heads: [{ layer: 3, head: 0 }] }, 9],
    [{ analysis: 'path-patch', receivers: 'final', mlps: 'frozen' }, 144],
  ])('%j has %d cells', (kind, cells) => expect(cellsOfSweep(kind, info, 9)).toBe(cells));

  it('in forward passes', () => {
    expect(forwardPasses(144, 10, 'exact', false)).toBe(1450);
    expect(forwardPasses(144, 10, 'exact', true)).toBe(1460);
    expect(forwardPasses(144, 10, 'attribution', false)).toBe(30);
    expect(forwardPasses(144, 10, 'screened', false)).toBe(230);
  });
});

describe('names', () => {
  it('of files say what was done', () => {
    const of = (kind: SweepKind, method: Sweep['method'] = 'exact') =>
      sweepName({ ...kind, model: 'm', prompts: [], method });
    expect(of(heads)).toBe('ablate.heads.zero');
    expect(of(resid, 'attribution')).toBe('patch.resid_pre.denoising.attribution');
    expect(of({ analysis: 'path-patch', receivers: [], mlps: 'frozen' })).toBe('paths.heads.frozen');
    const z = { analysis: 'patch', site: 'z', byPosition: true } as const;
    expect(of({ ...z, heads: { layer: 9 } })).toBe('patch.z.L9.denoising');
    expect(of({ ...z, heads: [{ layer: 9, head: 6 }] })).toBe('patch.z.L9H6.denoising');
  });

  it('of heads are read, one by one or a layer’s, and what is none of the model is said', () => {
    const info = { nLayers: 12, nHeads: 8 };
    expect(readHeads('L9.H6, l10h0', info)).toEqual([
      { layer: 9, head: 6 },
      { layer: 10, head: 0 },
    ]);
    expect(readHeads('L9', info)).toEqual({ layer: 9 });
    expect(readHeads('', info)).toMatch(/Write heads/);
    expect(readHeads('L9.H6 L9', info)).toMatch(/L9 is no head/);
    expect(readHeads('L12', info)).toMatch(/L0 to L11/);
    expect(readHeads('L1.H8', info)).toMatch(/H0 to H7/);
    expect(readHeads('L1.H7 L1.H7', info)).toMatch(/twice/);
  });

  it('of receivers are read, and what is none of the model is said', () => {
    const info = { nLayers: 12, nHeads: 8 };
    expect(readReceivers('L9.H6.q, l10h0.V', info)).toEqual([
      { layer: 9, head: 6, input: 'q' },
      { layer: 10, head: 0, input: 'v' },
    ]);
    expect(readReceivers('', info)).toMatch(/Write heads/);
    expect(readReceivers('L9.H6', info)).toMatch(/no input/);
    expect(readReceivers('L12.H0.q', info)).toMatch(/L0 to L11/);
    expect(readReceivers('L1.H8.q', info)).toMatch(/H0 to H7/);
  });
});
