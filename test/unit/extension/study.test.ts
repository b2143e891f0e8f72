import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { ParamsSchema } from '../../../src/core/experiments/stepKind.ts';
import { ExperimentParser } from '../../../src/core/tasks/experiment/experimentFile.ts';
import { vocabularyOf } from '../../../src/core/tasks/experiment/experimentSchema.ts';
import { loadTaskSet } from '../../../src/core/tasks/loadTaskSet.ts';
import {
  headsByDifference,
  type StudyPair,
  type StudyRun,
  studyAnswer,
  studyDataset,
  unflipped,
} from '../../../src/extension/study/studyPairs.ts';
import { possibleStudies, type StudyContext, studyExperiment } from '../../../src/extension/study/studySteps.ts';
import { listTokenizer } from '../../support/listTokenizer.ts';

const tokenizer = listTokenizer(['The', ' nurse', ' king', ' said', ' old', ' she', ' he']);
/** One layer of two heads; the second brings three times as much. */
function run(text: string, value: number): StudyRun {
  const tokens = tokenizer.encode(text);
  const data = new Float32Array([0.1, 0.3].flatMap((share) => tokens.map(() => share * value)));
  return { text, tokens, value, bySource: { dims: [1, 2, tokens.length], data } };
}
const spec = { ' she': 1, ' he': -1 };
const pairs: StudyPair[] = [
  { prompt: 1, clean: run('The nurse said', 2), corrupted: run('The king said', -1) },
  { prompt: 2, clean: run('The old king said', -1.5), corrupted: run('The old nurse said', 0.5) },
];
const about = { name: 'gender', model: 'm', position: -1 };
const kinds = vocabularyOf(
  JSON.parse(readFileSync(new URL('../../../media/schemas/experiment.schema.json', import.meta.url), 'utf8')),
);

describe('the dataset of a study', () => {
  const text = studyDataset(pairs, studyAnswer(spec), about);

  it('is read as it is: no row refused, the positive side clean, roles where the pair differs and at the end', async () => {
    const set = await loadTaskSet({ name: 'd', lines: [text] }, tokenizer, 64, { seed: 0 });
    expect([set.refused, set.problems, set.roles, set.corruptions]).toEqual([0, [], ['differs', 'end'], ['corrupted']]);
    const rows = text
      .trim()
      .split('\n')
      .slice(1)
      .map((line) => JSON.parse(line));
    expect(rows.map(({ clean, corrupted }) => [clean, corrupted])).toEqual([
      ['The nurse said', 'The king said'],
      ['The old nurse said', 'The old king said'],
    ]);
    expect(rows.map(({ roles }) => roles)).toEqual([
      { differs: 1, end: -1 },
      { differs: 2, end: -1 },
    ]);
    expect(rows[0].answers).toEqual([{ token: ' she', pos: -1, foils: [' he'] }]);
  });

  it('is refused for pairs of unlike token counts, with the place where they part, and for equal ones', () => {
    const of = (clean: string, corrupted: string) => () =>
      studyDataset([{ prompt: 3, clean: run(clean, 1), corrupted: run(corrupted, -1) }], studyAnswer(spec), about);
    expect(of('The nurse said', 'The old king said')).toThrow(
      'Prompt 3 and its corrupted prompt are no pair: 3 tokens against 4; they part at position 2: " nurse", " old". Both need as many tokens.',
    );
    expect(of('The nurse said', 'The nurse said')).toThrow(/are the same/);
  });

  it('says which pairs do not flip the sign', () => {
    expect(unflipped(pairs)).toBeNull();
    const same = { prompt: 3, clean: run('The nurse', 2), corrupted: run('The king', 1.25) };
    expect(unflipped([...pairs, same])).toMatch(
      /^The observable keeps its sign in 1 of 3 pairs \(prompt 3: \+2\.00 and \+1\.25 logits\)/,
    );
  });

  it('needs a token with a positive weight; others are right, too', () => {
    expect(() => studyAnswer({ ' he': -1 })).toThrow(/no token with a positive weight/);
    expect(studyAnswer({ ' he': -1, ' she': 1, ' her': 0.5 })).toEqual({
      ...{ token: ' she', also: [' her'], foils: [' he'] },
    });
  });
});

describe('the heads of a study', () => {
  it('are those that bring most from the differing token, by sign of neither', () => {
    expect(headsByDifference(pairs)).toEqual(['L0.H1', 'L0.H0']);
    const minus = pairs.map((pair) => {
      const data = pair.clean.bySource.data.map((value, i) => (i < pair.clean.tokens.length ? -9 * value : value));
      return { ...pair, clean: { ...pair.clean, bySource: { ...pair.clean.bySource, data } } };
    });
    expect(headsByDifference(minus)[0]).toBe('L0.H0');
  });
});

describe('the experiment of a study', () => {
  const observables = { gender: spec, party: { ' Democrat': 1, ' Republican': -1 }, unused: { ' x': 1 } };
  const whole: StudyContext = {
    ...{ observable: 'gender', others: ['party'], heads: ['L1.H0', 'L0.H2', 'L2.H1', 'L3.H3'], corpus: 'news.txt' },
    pairs: 8,
  };
  const experiment = (context = whole, compares = true) =>
    studyExperiment(possibleStudies(kinds, context), {
      ...{
        model: 'smollm2-135m',
        data: 'my pairs.jsonl',
        observables,
        from: 'pronouns.prompt',
        compares,
        note: unflipped(pairs),
      },
    });

  it('is without a mistake for every analysis that there is to offer', () => {
    const file = new ExperimentParser(kinds).parse(experiment());
    expect(file.problems).toEqual([]);
    expect(experiment()).not.toContain('keeps its sign');
    expect(file.data?.value.file).toBe('my pairs.jsonl');
    expect(file.observables.map(({ name }) => name)).toEqual(['gender', 'party']);
    expect(file.steps.map((step) => step.run)).toEqual([
      ...['baseline', 'heads-map', 'find-paths', 'patch-residual', 'feature', 'couple-features'],
      ...['top-tokens', 'steer-feature', 'debias', 'feature-baselines'],
    ]);
    expect(file.steps.find(({ run: name }) => name === 'couple-features')?.params.features).toEqual({
      observables: ['gender', 'party'],
      paths: ['L1.H0@differs', 'L0.H2@differs', 'L2.H1@differs'],
    });
  });

  it('has no line that an editor would cut, nor has what is offered', () => {
    expect(
      experiment()
        .split('\n')
        .slice(1)
        .filter((line) => line.length > 90),
    ).toEqual([]);
    const details = possibleStudies(kinds, whole).map(({ detail }) => detail);
    expect(details.filter((detail) => detail.length > 84)).toEqual([]);
  });

  it('scores a lone token by its log-probability', () => {
    expect(new ExperimentParser(kinds).parse(experiment(whole, false)).metric).toEqual({ kind: 'log-prob' });
  });

  it('offers no analysis that is not there, or needs what is not there', () => {
    expect(possibleStudies([], whole)).toEqual([]);
    const offered = (change: Partial<StudyContext>) =>
      possibleStudies(kinds, { ...whole, ...change }).map((study) => study.run);
    expect(offered({ corpus: null })).not.toContain('top-tokens');
    expect(offered({ others: [] })).not.toContain('debias');
    expect(offered({ pairs: 3 })).not.toContain('feature-baselines');
    expect(offered({ heads: [] })).toEqual(['baseline', 'heads-map', 'find-paths', 'patch-residual']);
    const params: ParamsSchema = {
      ...{ type: 'object', description: '', additionalProperties: false },
      ...{ properties: { file: { type: 'string' } }, required: ['file'] },
    };
    expect(possibleStudies([{ name: 'baseline', params }], whole)).toEqual([]);
  });
});
