import { describe, expect, it } from 'vitest';
import { readNamedObservables, withNamedObservable } from '../../../src/core/tasks/namedObservables.ts';
import { parsePromptFile } from '../../../src/core/tasks/promptFile.ts';

const she = { ' she': 1, ' he': -1 };

describe('readNamedObservables', () => {
  it('takes what maps tokens to weights, and says what is wrong with the rest', () => {
    const { specs, mistakes } = readNamedObservables({
      'pronoun-subject': she,
      'a b': she,
      empty: {},
      list: [' she'],
      zero: { ' she': 1, ' he': 0 },
      word: { ' she': 'one' },
    });
    expect(specs).toEqual({ 'pronoun-subject': she });
    expect(Object.keys(mistakes)).toEqual(['a b', 'empty', 'list', 'zero', 'word']);
    expect(mistakes.zero).toBe('The weight of " he" in zero has to be a number other than 0, as 1 or -1.');
  });

  it.each([null, undefined, 3, 'x', []])('takes %j for no observables', (value) => {
    expect(readNamedObservables(value)).toEqual({ specs: {}, mistakes: {} });
  });
});

describe('withNamedObservable', () => {
  const named = readNamedObservables({ gender: she, bad: {} });
  const read = (observable: string) =>
    withNamedObservable(parsePromptFile(`---\nobservable: ${observable}\n---\nThe nurse\n`), named);

  it('puts the tokens of a name at the name', () => {
    const { frontMatter, problems } = read('gender');
    expect(problems).toEqual([]);
    expect(frontMatter?.observable).toMatchObject({ value: she, word: 'gender', named: true });
    expect(frontMatter?.observable?.words.map(({ value, start, end }) => [value, start, end])).toEqual([
      [' she', 16, 22],
      [' he', 16, 22],
    ]);
  });

  it('leaves other words to be tokens, and observables that are written out', () => {
    expect(read('nurse').frontMatter?.observable).toMatchObject({ value: { nurse: 1 }, word: 'nurse' });
    expect(read('{ gender: 1 }').frontMatter?.observable?.value).toEqual({ gender: 1 });
    expect(read('constructor').frontMatter?.observable?.value).toEqual({ constructor: 1 });
  });

  it('says at the name what is wrong in the setting', () => {
    const [problem] = read('bad').problems;
    expect(problem).toMatchObject({ code: 'bad-observable', start: 16, end: 19 });
    expect(problem?.message).toMatch(/^bad has to map tokens to weights: .*setting mechanist\.observables\.$/);
  });
});
