import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { StepKind } from '../../../src/core/experiments/stepKind.ts';
import { MechanistError } from '../../../src/shared/errors.ts';
import { ResultsPlace } from './experimentRuns.ts';
import { type ToyLog, toyKind } from './toyKinds.ts';

/** The vocabulary of these tests: what begins with a space is one token. */
const tokenizer = {
  addsBos: false,
  tokenText: (id: number) => String.fromCodePoint(id),
  encodePiece: (text: string) => (text.startsWith(' ') ? [text.codePointAt(1) ?? 0] : [1, 2]),
};
const model = {
  ...{ info: { ref: 'm', label: 'M', hash: 'a'.repeat(64) }, tokenizer },
  config: { family: 'gpt2', nLayers: 2, nHeads: 100, dMlp: 8 },
} as never;

let log: ToyLog;
let seen: unknown[];
let place: ResultsPlace;

/** The toy analysis, with an observable in its `circuit` parameter and a file where `form` is there. */
function sourcedKind(): StepKind {
  const toy = toyKind(log);
  const { circuit: _, ...properties } = toy.params.properties;
  const text = { type: 'string', description: 'A name.' };
  return {
    ...toy,
    params: { ...toy.params, properties: { ...properties, observable: text, corpus: text } },
    files: ({ corpus }) => (typeof corpus === 'string' ? [corpus] : []),
    run: async (context, { observable, ...params }, cell) => {
      if (typeof observable === 'string') seen.push(context.observable(observable).label);
      if (typeof params.corpus === 'string') seen.push(context.file(params.corpus).path);
      return await toy.run(context, params, cell);
    },
  };
}

beforeEach(() => {
  log = { ran: [], before: () => undefined };
  seen = [];
  place = new ResultsPlace([sourcedKind()]);
});
afterEach(() => place.remove());

const textOf = (params: string, observables = 'gender: { " she": 1, " he": -1 }') =>
  `model: m\ndata: d.jsonl\nobservables:\n  ${observables}\nsteps:\n  - run: toy\n    with: { cells: 1, ${params} }\n`;

describe('observables of an experiment', () => {
  it('reach a step by name, and its result says what they are', async () => {
    await place.run(textOf('observable: gender'), {}, { model });
    expect(seen).toEqual(['s − h']);
    expect(place.figures().request).toMatchObject({ observables: { gender: { ' she': 1, ' he': -1 } } });
  });

  it('are part of what a cell depends on, where the step names them', async () => {
    await place.run(textOf('observable: gender'), {}, { model });
    await place.run(textOf('observable: gender', 'gender: { " she": 1 }'), {}, { model });
    expect(seen).toEqual(['s − h', 's']);
    log.ran.length = 0;
    await place.run(textOf('observable: gender', 'gender: { " she": 1 }\n  other: { " x": 1 }'), {}, { model });
    expect(log.ran).toEqual([]);
  });

  it('that are not there, or split, end their step in words', async () => {
    const outcome = await place.run(textOf('observable: gendre'), {}, { model });
    expect(outcome.steps[0]).toMatchObject({ state: 'failed' });
    expect(outcome.steps[0].message).toContain('There is no observable "gendre". Did you mean gender?');
    const split = await place.run(textOf('observable: gender', 'gender: { she: 1 }'), {}, { model });
    expect(split.steps[0].message).toContain('"she" is 2 tokens');
  });
});

describe('files of a step', () => {
  it('are found beside the experiment; what is in them is part of what a cell depends on', async () => {
    const corpus = join(place.folder, 'corpus.txt');
    writeFileSync(corpus, 'one text');
    await place.run(textOf('corpus: corpus.txt'), {}, { model });
    expect(seen).toEqual([corpus]);
    log.ran.length = 0;
    await place.run(textOf('corpus: corpus.txt'), {}, { model });
    expect(log.ran).toEqual([]);
    writeFileSync(corpus, 'another text');
    await place.run(textOf('corpus: corpus.txt'), {}, { model });
    expect(log.ran).toEqual(['c0']);
  });

  it('that are missing end their step in words', async () => {
    const outcome = await place.run(textOf('corpus: none.txt'), {}, { model });
    expect(outcome.steps[0].message).toMatch(/^The file none\.txt cannot be read: .*Put it beside the experiment/);
  });

  it('that a step did not announce are not to be had', async () => {
    const kind = sourcedKind();
    const silent = new ResultsPlace([{ ...kind, files: () => [] }]);
    try {
      await expect(silent.run(textOf('corpus: corpus.txt'), {}, { model })).rejects.toBeInstanceOf(MechanistError);
    } finally {
      silent.remove();
    }
  });
});
