import { describe, expect, test } from 'vitest';
import { stepKinds } from '../../../src/core/experiments/stepKinds.ts';
import { appendStep } from '../../../src/core/tasks/experiment/editStep.ts';
import { ExperimentParser } from '../../../src/core/tasks/experiment/experimentFile.ts';
import {
  type CoupledParams,
  freeName,
  pairOf,
  topTokensLines,
  topTokensOf,
} from '../../../src/core/tasks/experiment/topTokensStep.ts';

const source = `model: small-world
data: pairs.jsonl
observables:
  gender: { " she": 1, " he": -1 }
steps:
  - run: couple-features
    with:
      features: { observables: [gender, { " nurse": 1, " farmer": -1 }], paths: [L1.H1@name, "MLP 0"] }
      row: 3
      point: boundary
`;
const parse = (text: string) => new ExperimentParser(stepKinds).parse(text);
const paramsOf = (text: string) => parse(text).steps[0].params as unknown as CoupledParams;

describe('top tokens of a coupled pair', () => {
  const params = paramsOf(source);
  const pair = pairOf(params, [0, 3]);
  const lines = topTokensLines('tokens', pair, params, 'my text.txt');
  const edit = appendStep(source, lines);
  const after = source.slice(0, edit?.start) + edit?.newText + source.slice(edit?.end ?? 0);

  test('names the features of the pair', () => {
    expect(pair).toEqual([
      { observable: 'gender', path: 'L1.H1@name' },
      { observable: { ' nurse': 1, ' farmer': -1 }, path: 'MLP 0' },
    ]);
    expect(pairOf(params, [1, 1])).toHaveLength(1);
  });

  test('is a step that the parser takes, at the same row and point', () => {
    const file = parse(after);
    expect(file.problems).toEqual([]);
    expect(file.steps[1]).toMatchObject({
      name: 'tokens',
      run: 'top-tokens',
      params: {
        corpus: 'my text.txt',
        row: 3,
        features: pair.map((one) => ({ ...one, point: 'boundary', norm: 'scaled' })),
      },
    });
  });

  test('is found again, in either order, and only for its features', () => {
    const file = parse(after);
    expect(topTokensOf(file, pair)).toBe('tokens');
    expect(topTokensOf(file, [...pair].reverse())).toBe('tokens');
    expect(topTokensOf(file, pairOf(params, [0, 1]))).toBeUndefined();
    expect(topTokensOf(parse(source), pair)).toBeUndefined();
    expect([freeName(file, 'tokens'), freeName(file, 'other')]).toEqual(['tokens-2', 'other']);
  });
});
