import { describe, expect, it } from 'vitest';
import { readRange } from '../../../src/core/tasks/experiment/experimentExpect.ts';
import { describeExperimentProblem, ExperimentParser } from '../../../src/core/tasks/experiment/experimentFile.ts';
import { fileText, toyKinds } from './toyKinds.ts';

const parser = new ExperimentParser(toyKinds);
const head = 'model: smollm2-135m\ndata: acronyms.jsonl\n';

/** `code @word` of each problem. */
function problemsOf(text: string): string[] {
  return parser.parse(text).problems.map(({ code, start, end }) => `${code} @${text.slice(start, end)}`);
}

describe('an experiment file', () => {
  it('is read with defaults, names, ranges of steps and the experiment’s metric', () => {
    const text = `${head}seed: 7
metric: { kind: logit-difference, foil: mean }
steps:
  - toy
  - name: second   # a comment
    run: toy
    with: { scale: 2, circuit: toy }
expect:
  - second sum: -6.8 ± 0.5 (methods §9)
  - { step: toy, value: sum, equals: 3, tolerance: 1, model: gpt2, from: "own run" }
`;
    const file = parser.parse(text);
    expect(file.problems).toEqual([]);
    expect(file.model).toMatchObject({ value: 'smollm2-135m', start: 7, end: 19 });
    expect(file.data?.value).toEqual({ file: 'acronyms.jsonl' });
    expect([file.seed, file.metric]).toEqual([7, { kind: 'logit-difference', foil: 'mean' }]);
    const metric = { kind: 'logit-difference', foil: 'mean' };
    expect(file.steps.map(({ start, end, ...step }) => ({ ...step, text: text.slice(start, end) }))).toEqual([
      { name: 'toy', run: 'toy', params: { cells: 6, scale: 1, metric }, text: 'toy' },
      {
        ...{ name: 'second', run: 'toy', params: { cells: 6, scale: 2, circuit: 'toy', metric } },
        text: 'name: second   # a comment\n    run: toy\n    with: { scale: 2, circuit: toy }',
      },
    ]);
    expect(file.expect).toEqual([
      expect.objectContaining({ step: 'second', value: 'sum', low: -7.3, high: -6.3, source: 'methods §9' }),
      expect.objectContaining({ step: 'toy', value: 'sum', low: 2, high: 4, source: 'own run', model: 'gpt2' }),
    ]);
    expect(text.slice(file.expect[0].start, file.expect[0].end)).toBe('second sum: -6.8 ± 0.5 (methods §9)');
  });

  it('takes rows, a metric by its name, and expectations as a map', () => {
    const text = `model: m\ndata: { file: d.jsonl, rows: 200 }\nmetric: log-prob\nsteps: [toy]\nexpect:\n  toy sum: ≥ 2\n`;
    const file = parser.parse(text);
    expect(file.problems).toEqual([]);
    expect(file.data?.value).toEqual({ file: 'd.jsonl', rows: 200 });
    expect(file.metric).toEqual({ kind: 'log-prob' });
    expect(file.expect).toMatchObject([{ step: 'toy', value: 'sum', low: 2, high: null }]);
  });

  it.each<[string, string, readonly string[]]>([
    ['nothing', '', ['wrong-type @']],
    ['a list', '- a\n', ['wrong-type @- a']],
    ['no YAML', 'model: [\n', ['yaml @\n']],
    ['the same key twice', `${head}model: x\nsteps: [toy]\n`, ['yaml @model']],
    ['nothing but a step', 'steps: [toy]\n', ['missing-key @steps', 'missing-key @steps']],
    ['no steps', head, ['missing-key @model']],
    ['an empty list of steps', `${head}steps: []\n`, ['wrong-type @[]']],
    ['a model without a name', 'model:\ndata: d\nsteps: [toy]\n', ['wrong-type @model']],
    ['an unknown key', `${head}sed: 1\nsteps: [toy]\n`, ['unknown-key @sed']],
    ['a seed that is a word', `${head}seed: one\nsteps: [toy]\n`, ['wrong-type @one']],
    ['a metric with a slip', `${head}metric: logprob\nsteps: [toy]\n`, ['unknown-metric @logprob']],
    [
      'a foil with a slip',
      `${head}metric: { kind: logit-difference, foil: maxx }\nsteps: [toy]\n`,
      ['unknown-metric @maxx'],
    ],
    ['a foil that nobody reads', `${head}metric: { kind: kl, foil: max }\nsteps: [toy]\n`, ['unknown-key @foil']],
    [
      'a metric of a step with a slip',
      `${head}steps:\n  - { run: toy, with: { metric: rnak } }\n`,
      ['unknown-metric @rnak'],
    ],
    ['half a row', 'model: m\ndata: { file: d, rows: 0.5 }\nsteps: [toy]\n', ['wrong-type @0.5']],
    ['an unknown analysis', `${head}steps:\n  - run: toi\n`, ['unknown-kind @toi']],
    ['a step without an analysis', `${head}steps:\n  - name: a\n`, ['unknown-kind @name: a']],
    ['an unknown key of a step', `${head}steps:\n  - run: toy\n    wiht: {}\n`, ['unknown-key @wiht']],
    ['two steps of one name', `${head}steps:\n  - toy\n  - run: toy\n`, ['step-name @toy']],
    ['a name that is no file', `${head}steps:\n  - { name: a/b, run: toy }\n`, ['step-name @a/b']],
    ['a list of parameters', `${head}steps:\n  - { run: toy, with: [1] }\n`, ['wrong-type @[1]']],
    ['an unknown parameter', `${head}steps:\n  - { run: toy, with: { sclae: 1 } }\n`, ['unknown-key @sclae']],
    [
      'a parameter of another type',
      `${head}steps:\n  - { run: toy, with: { scale: wide } }\n`,
      ['bad-parameter @wide'],
    ],
    ['a parameter that is too small', `${head}steps:\n  - { run: toy, with: { cells: -1 } }\n`, ['bad-parameter @-1']],
    ['a word that is none', `${head}steps:\n  - { run: toy, with: { form: eben } }\n`, ['bad-parameter @eben']],
    [
      'an alternative that lacks something',
      `${head}steps:\n  - { run: toy, with: { ablation: { kind: mean } } }\n`,
      ['missing-key @ablation'],
    ],
    ['no alternative', `${head}steps:\n  - { run: toy, with: { ablation: 7 } }\n`, ['bad-parameter @7']],
    ['observables that are a list', `${fileText()}observables: [a]\n`, ['wrong-type @[a]']],
    ['an observable without tokens', `${fileText()}observables: { g: {} }\n`, ['bad-observable @{}']],
    ['a weight of nothing', `${fileText()}observables: { g: { " she": 0 } }\n`, ['bad-observable @0']],
    ['a weight that is a word', `${fileText()}observables: { g: { " she": one } }\n`, ['bad-observable @one']],
    [
      'an observable that is named as a token',
      `${fileText()}observables: { " a": { b: 1 } }\n`,
      ['bad-observable @" a"'],
    ],
    ['an expectation of nothing', `${fileText()}expect:\n  - toy: 3\n`, ['bad-expectation @toy']],
    ['an expectation that is no number', `${fileText()}expect:\n  - toy sum: much\n`, ['bad-expectation @much']],
    ['an expectation of an unknown step', `${fileText()}expect:\n  - tyo sum: 1\n`, ['unknown-step @tyo sum: 1']],
    ['an empty range', `${fileText()}expect:\n  - toy sum: 3 … 1\n`, ['bad-expectation @toy sum: 3 … 1']],
    [
      'two kinds of range',
      `${fileText()}expect:\n  - { step: toy, value: sum, equals: 1, low: 2 }\n`,
      ['bad-expectation @{ step: toy, value: sum, equals: 1, low: 2 }'],
    ],
    [
      'an alias',
      `${head}steps:\n  - { run: toy, with: &w { scale: x } }\n  - { name: b, run: toy, with: *w }\n`,
      ['bad-parameter @x', 'bad-parameter @x'],
    ],
    ['a null byte', `${head}steps: [toy]\nseed: "\0"\n`, ['wrong-type @"\0"']],
  ])('with %s is told at the word', (_name, text, wanted) => {
    expect(problemsOf(text)).toEqual(wanted);
  });

  it('names what may have been meant, and offers it', () => {
    const text = `${head}steps:\n  - run: toi\n`;
    const [problem] = parser.parse(text).problems;
    expect(problem.message).toContain('Did you mean toy?');
    expect(problem.fix).toMatchObject({ newText: 'toy' });
    expect(describeExperimentProblem(text, problem)).toMatch(/^4:10: There is no analysis "toi"/);
    const [key] = parser.parse(`${head}steps:\n  - { run: toy, with: { sclae: 1 } }\n`).problems;
    expect(key.fix).toMatchObject({ newText: 'scale' });
  });

  it('survives whatever is typed', () => {
    const text = `${fileText()}expect:\n  - toy sum: 1 ± 1 (x)\n  - { step: toy, value: sum, low: 1 }\n`;
    for (let i = 0; i <= text.length; i++) {
      for (const changed of [
        text.slice(0, i),
        text.slice(i),
        `${text.slice(0, i)}{${text.slice(i)}`,
        `${text.slice(0, i)}\t- ${text.slice(i)}`,
      ]) {
        for (const { start, end } of parser.parse(changed).problems) {
          expect(start).toBeGreaterThanOrEqual(0);
          expect(end).toBeGreaterThan(start);
          expect(end).toBeLessThanOrEqual(Math.max(1, changed.length));
        }
      }
    }
    expect(problemsOf(`a: ${'['.repeat(20_000)}`).length).toBeGreaterThan(0);
    expect(problemsOf(`${'x'.repeat(600_000)}`)).toEqual(['file-too-long @x']);
    const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefghi'.replaceAll(/./g, (c, i) => `${c}: &${c} [${Array(9).fill(`*${'abcdefghi'[i]}`).join(',')}]\n`)}`;
    expect(problemsOf(`${bomb}${head}steps:\n  - { run: toy, with: { cells: *i } }\n`).length).toBeGreaterThan(0);
  });
});

describe('an expected range', () => {
  it.each<[string, readonly [number | null, number | null, string] | null]>([
    ['-6.8 ± 0.5', [-7.3, -6.3, '']],
    ['−6.8 +/- .5', [-7.3, -6.3, '']],
    ['2', [1.5, 2.5, '']],
    ['0.93', [0.925, 0.935, '']],
    ['1.0e-3', [0.00095, 0.00105, '']],
    ['-7.1 … -6.2 (paper, methods §9)', [-7.1, -6.2, 'paper, methods §9']],
    ['1..2', [1, 2, '']],
    ['1 to 2', [1, 2, '']],
    ['≥ 2', [2, null, '']],
    ['<= -2', [null, -2, '']],
    ['', null],
    ['about 3', null],
    ['3 ± ', null],
    ['± 3', null],
  ])('%s', (text, wanted) => {
    const read = readRange(text);
    if (wanted === null) expect(read).toBeNull();
    else {
      expect(read?.source).toBe(wanted[2]);
      for (const [i, bound] of [read?.low, read?.high].entries()) {
        if (wanted[i] === null) expect(bound).toBeNull();
        else expect(bound).toBeCloseTo(wanted[i] as number, 12);
      }
    }
  });
});
