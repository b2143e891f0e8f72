import { describe, expect, it } from 'vitest';
import { datasetLine } from '../../../src/core/tasks/dataset.ts';
import { headerLine } from '../../../src/core/tasks/datasetHeader.ts';
import { loadTaskSet } from '../../../src/core/tasks/loadTaskSet.ts';
import { makePairs } from '../../../src/core/tasks/make/pairs.ts';
import { readPairsFile } from '../../../src/core/tasks/make/pairsFile.ts';
import { listTokenizer } from '../../support/listTokenizer.ts';

const text = `name: pronouns
role: name
templates: ["{} is late", "Then {} is"]
fill: { female: [Mary, Anna, "An na"], male: [John, Paul] }
answers: { female: " she", male: " he" }
`;
const words = ['Mary', 'Anna', 'John', 'Paul', 'Then', 'An', ' is', ' late', ' she', ' he', ' na', ' Mary', ' Anna'];
const tokenizer = (addsBos: boolean) => listTokenizer([...words, ' John', ' Paul', ' An'], addsBos);

describe('pairs from templates', () => {
  it.each([false, true])('have the clean side against the other, at the role (BOS %s)', async (addsBos) => {
    const own = tokenizer(addsBos);
    const made = makePairs(own, readPairsFile(text), { rows: 100, seed: 1 });
    // Three on the longer side, one of them two tokens: two left, in two templates.
    expect(made.rows).toHaveLength(4);
    expect(made.refused).toEqual({ 'no male of as many tokens': 2 });
    const lines = [headerLine(made.header), ...made.rows.map(datasetLine)];
    const { items, problems } = await loadTaskSet({ name: 'made', lines }, own, 100, {});
    expect(problems).toEqual([]);
    for (const { ids, tokens, roles, corrupted, answers } of items) {
      expect(tokens[roles.name[0]].trim()).toMatch(/^(Mary|Anna)$/);
      const different = ids.flatMap((id, at) => (id === corrupted.corrupted[at] ? [] : [at]));
      expect(different).toEqual(roles.name);
      expect(own.tokenText(corrupted.corrupted[roles.name[0]]).trim()).toMatch(/^(John|Paul)$/);
      expect(roles.END).toEqual([ids.length - 1]);
      expect([answers[0].answer, ...answers[0].foils].map((id) => own.tokenText(id))).toEqual([' she', ' he']);
    }
  });

  it('are the same for a seed, others for another, and as many as were asked', () => {
    const of = (seed: number, rows = 3) => makePairs(tokenizer(false), readPairsFile(text), { rows, seed }).rows;
    expect(of(4)).toEqual(of(4));
    expect(of(1)).toHaveLength(3);
    expect([1, 2, 3, 4, 5].some((seed) => JSON.stringify(of(seed)) !== JSON.stringify(of(0)))).toBe(true);
  });

  it('are refused where fillers share a token with their surroundings, or no pair is good', () => {
    const own = listTokenizer(['aMary', 'aJohn', ' is']);
    const file = readPairsFile('templates: ["a{} is"]\nfill: { f: [Mary], m: [John] }');
    expect(() => makePairs(own, file, { rows: 1, seed: 0 })).toThrow(/shares a token with what is around it \(2\)/);
  });

  it.each([
    ['[1, 2]', 'is a map with name'],
    ['name: a\nb: [', 'cannot be read. Line 2: Not valid YAML: '],
    ['name: a\nname: b', 'cannot be read. Line 2: name stands here twice'],
    ['templates: *none', 'cannot be read: Unresolved alias'],
    ['tempaltes: []', 'has a key "tempaltes" that nobody reads'],
    ['templates: ["x"]\nfill: { a: [b], c: [d] }', 'has a template without {} or with several: "x"'],
    ['templates: ["{}"]\nfill: { a: [b] }', 'needs fill with two sides'],
    ['templates: ["{}"]\nfill: { a: [b], c: [No, no, 1] }', 'needs c: a list of texts'],
    ['templates: ["{}"]\nfill: { a: [b], c: [d] }\nanswers: { a: " x" }', 'has answers without one for c'],
  ])('say what is wrong with the file: %s', (wrong, message) => {
    expect(() => readPairsFile(wrong)).toThrow(message);
  });
});
