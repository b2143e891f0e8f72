import { describe, expect, it } from 'vitest';
import { checkTerms, observableLabel, resolveObservable } from '../../../src/core/tasks/observable.ts';
import { MechanistError } from '../../../src/shared/errors.ts';

/** Longest match over a small vocabulary; anything else is a token per character. */
const VOCABULARY = [' she', ' he', 'he', ' nurse', 'nur', 'se', ' Paris', ' ', '\n'];
const tokenizer = {
  encodePiece(text: string): number[] {
    const ids: number[] = [];
    for (let at = 0; at < text.length; ) {
      const found = VOCABULARY.filter((token) => text.startsWith(token, at)).sort((a, b) => b.length - a.length)[0];
      ids.push(found === undefined ? 1000 + text.charCodeAt(at) : VOCABULARY.indexOf(found));
      at += found?.length ?? 1;
    }
    return ids;
  },
  tokenText: (id: number) => VOCABULARY[id] ?? String.fromCharCode(id - 1000),
};

function refusal(spec: Record<string, number>): MechanistError {
  try {
    resolveObservable(spec, tokenizer);
  } catch (error) {
    if (error instanceof MechanistError) return error;
  }
  throw new Error('It was not refused.');
}

const term = (text: string, weight: number) => ({ id: 0, text, weight });

describe('observable', () => {
  it('finds ids and writes a label', () => {
    expect(resolveObservable({ ' she': 1, ' he': -1 }, tokenizer)).toEqual({
      terms: [
        { id: 0, text: ' she', weight: 1 },
        { id: 1, text: ' he', weight: -1 },
      ],
      label: '␣she − ␣he',
    });
  });

  it.each([
    [[term(' x', 2)], '2·␣x'],
    [[term(' x', -1)], '−␣x'],
    [[term(' b', -0.5), term(' a', 1)], '␣a − 0.5·␣b'],
    [[term('\n', 1), term('a', 1)], '⏎ + a'],
    [[1, 2, 3, 4].map((i) => term(`${i}`, 1)), '1 + 2 + 3 + 4'],
    [[1, 2, 3, 4, 5, 6, 7].map((i) => term(`${i}`, 1)), '1 + 2 + 3 + 4 … (7 terms)'],
  ])('labels %j as %s', (terms, label) => {
    expect(observableLabel(terms)).toBe(label);
  });

  it('refuses a word that splits, shows the split and offers the spelling that does not', () => {
    const error = refusal({ nurse: 1 });
    expect(error.code).toBe('token-splits');
    expect(error.message).toBe('"nurse" is 2 tokens: nur | se. Write " nurse", which is one token.');
    expect(error.data).toMatchObject({ term: 'nurse', suggestion: ' nurse' });
    expect(refusal({ ' qz': 1 }).message).toContain('choose a word that is one token');
    expect(refusal({ paris: 1 }).data.suggestion).toBe(' Paris');
  });

  it('refuses observables that mean nothing', () => {
    expect(refusal({}).code).toBe('bad-input');
    expect(refusal({ '': 1 }).code).toBe('token-splits');
    for (const weight of [Number.NaN, Number.POSITIVE_INFINITY, 0])
      expect(refusal({ ' he': weight }).code).toBe('bad-input');
    expect(refusal(JSON.parse('{" he": "1"}')).code).toBe('bad-input');
  });

  it('checks any text without throwing', () => {
    const [he, nurse, empty, space, strange] = checkTerms(['he', 'nurse', '', ' ', '\0'], tokenizer);
    expect(he).toEqual({ text: 'he', pieces: [{ id: 2, text: 'he' }], suggestion: null, spaced: ' he' });
    expect(nurse).toEqual({
      text: 'nurse',
      pieces: [
        { id: 4, text: 'nur' },
        { id: 5, text: 'se' },
      ],
      suggestion: ' nurse',
      spaced: null,
    });
    expect(empty).toEqual({ text: '', pieces: [], suggestion: null, spaced: null });
    expect(space.pieces).toHaveLength(1);
    expect(strange.pieces).toHaveLength(1);
  });
});
