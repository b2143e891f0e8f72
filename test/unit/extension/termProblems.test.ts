import { describe, expect, it } from 'vitest';
import { checkTerms } from '../../../src/core/tasks/observable.ts';
import { termProblems, termsOf, type WrittenObservable } from '../../../src/extension/promptLanguage/termProblems.ts';
import { listTokenizer } from '../../support/listTokenizer.ts';

const tokenizer = listTokenizer([' she', 'she', ' he', ' nurse', 'gender']);

function problemsOf(observable: WrittenObservable, specs = {}) {
  const checks = new Map(checkTerms(termsOf(observable), tokenizer).map((check) => [check.text, check]));
  return termProblems(observable, checks, 'm', specs);
}

const words = (...values: string[]) => values.map((value, i) => ({ value, start: 10 * i, end: 10 * i + value.length }));
const gender = { gender: { ' she': 1, ' he': -1 } };

describe('termProblems', () => {
  it('finds nothing wrong with single tokens', () => {
    expect(problemsOf({ words: words(' she', ' he', '{') })).toEqual([]);
  });

  it('shows the split, and the spelling that is one token', () => {
    const [problem] = problemsOf({ words: words(' she', 'nurse') });
    expect(problem).toMatchObject({ severity: 'error', code: 'token-splits', start: 10, end: 15 });
    expect(problem?.message).toBe(
      'nurse is 5 tokens for m: n | u | r | s | e. An observable needs single tokens. ␣nurse is a single token.',
    );
    expect(problem?.fix).toMatchObject({ title: 'Use ␣nurse', newText: '" nurse"', start: 10, end: 15 });
  });

  it('warns of a word without its space where both are tokens', () => {
    const [problem] = problemsOf({ words: words('she') });
    expect(problem).toMatchObject({ severity: 'warning', code: 'leading-space', fix: { newText: '" she"' } });
  });

  it('says that a text is not in the vocabulary', () => {
    const [problem] = problemsOf({ words: words('é') });
    expect(problem).toMatchObject({ severity: 'error', code: 'not-in-vocabulary' });
    expect(problem?.message).toMatch(/^é is not in the vocabulary of m\. It reads /);
  });

  it('finds two texts that are one token', () => {
    const same = { ...tokenizer, encodePiece: (text: string) => tokenizer.encodePiece(` ${text.trim()}`) };
    const checks = new Map(checkTerms([' she', 'she'], same).map((check) => [check.text, check]));
    const codes = termProblems({ words: words(' she', 'she') }, checks, 'm').map(({ code }) => code);
    expect(codes).toContain('same-token');
  });

  it('offers the name that was probably meant', () => {
    const [problem] = problemsOf({ words: words('gendr'), word: 'gendr' }, gender);
    expect(problem).toMatchObject({ code: 'unknown-observable', fix: { title: 'Use gender', newText: 'gender' } });
    const [token] = problemsOf({ words: words('nurse'), word: 'nurse' }, gender);
    expect(token).toMatchObject({ code: 'token-splits' });
  });

  it('says at the name what is wrong with its tokens, without a fix that would replace the name', () => {
    const at = { start: 3, end: 9 };
    const named = {
      word: 'gendre',
      named: true,
      words: [
        { value: 'nurse', ...at },
        { value: ' he', ...at },
      ],
    };
    const [problem, ...others] = problemsOf(named);
    expect(others).toEqual([]);
    expect(problem?.message).toMatch(/^gendre of the setting mechanist\.observables: nurse is 5 tokens/);
    expect(problem?.fix).toBeUndefined();
  });

  it('warns where a word is a name and a token: the name is taken', () => {
    const at = { start: 3, end: 9 };
    const named = {
      word: 'gender',
      named: true,
      words: [
        { value: ' she', ...at },
        { value: ' he', ...at },
      ],
    };
    const [problem] = problemsOf(named, gender);
    expect(problem).toMatchObject({ severity: 'warning', code: 'name-and-token', ...at });
    expect(problem?.fix?.newText).toBe('{ "gender": 1 }');
  });
});
