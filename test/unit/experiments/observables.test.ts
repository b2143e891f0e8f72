import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { StepKind } from '../../../src/core/experiments/stepKind.ts';
import { paramSchemas } from '../../../src/core/experiments/steps/paramSchemas.ts';
import { readObservablesFile } from '../../../src/core/session/observablesFile.ts';
import { ExperimentParser } from '../../../src/core/tasks/experiment/experimentFile.ts';
import { requestOf, sharedWarnings } from '../../../src/core/tasks/experiment/experimentRequest.ts';
import { withSharedObservables } from '../../../src/core/tasks/experiment/observableRefs.ts';
import { pathFormat } from '../../../src/core/tasks/experiment/pathRefs.ts';
import { MechanistError } from '../../../src/shared/errors.ts';
import { ResultsPlace } from './experimentRuns.ts';
import { toyKind } from './toyKinds.ts';

const log = { ran: [] as string[], before: () => undefined };
const toy = toyKind(log);
const { observable } = paramSchemas;
/** The toy analysis with observables in several places of its parameters. */
const kind: StepKind = {
  ...toy,
  params: {
    ...toy.params,
    properties: {
      ...toy.params.properties,
      observable,
      observables: { type: 'array', items: observable },
      paths: { type: 'array', items: { type: 'string', format: pathFormat } },
      features: { type: 'array', items: { type: 'object', properties: { of: observable, node: { type: 'string' } } } },
    },
  },
};
const parser = new ExperimentParser([kind]);
const gender = { ' she': 1, ' he': -1 };
const party = { ' Democrat': 1, ' Republican': -1 };
const textOf = (params: string) =>
  `model: m\ndata: d.jsonl\nobservables:\n  gender: { " she": 1, " he": -1 }\nsteps:\n  - run: toy\n    with: ${params}\n`;

describe('observables in the parameters of steps', () => {
  it('are found wherever the schema has them, and nowhere else', () => {
    const text = textOf(
      '{ circuit: party, observable: party, observables: [gender, { " x": 1, " y": -2 }], features: [{ of: gender, node: party }] }',
    );
    const file = parser.parse(text);
    expect(file.problems).toEqual([]);
    expect(file.observableRefs.map(({ name, start, end }) => [name, text.slice(start, end)])).toEqual([
      ['party', 'party'],
      ['gender', 'gender'],
      [null, '{ " x": 1, " y": -2 }'],
      ['gender', 'gender'],
    ]);
    const words = file.observableRefs[2].words.map(({ value, weight, start, end }) => [
      value,
      weight,
      text.slice(start, end),
    ]);
    expect(words).toEqual([
      [' x', 1, '" x"'],
      [' y', -2, '" y"'],
    ]);
  });

  it('may not have the weight 0', () => {
    const text = textOf('{ observable: { " x": 0 } }');
    const [problem] = parser.parse(text).problems;
    expect([problem.code, text.slice(problem.start, problem.end)]).toEqual(['bad-observable', '0']);
  });
});

describe('paths in the parameters of steps', () => {
  it('are found at their places; their form is checked whatever the model', () => {
    const text = textOf('{ paths: ["L9.H6@end <= MLP 3", a9.6, L2.H1 <= L3.H0] }');
    const { pathRefs, problems } = parser.parse(text);
    expect(pathRefs.map(({ value, textStart }) => [value, text.slice(textStart, textStart + 5)])).toEqual([
      ['L9.H6@end <= MLP 3', 'L9.H6'],
    ]);
    expect(problems.map(({ code, start, end, fix }) => [code, text.slice(start, end), fix?.newText])).toEqual([
      ['bad-path', 'a9.6', 'L9.H6'],
      ['bad-path', 'L3.H0', undefined],
    ]);
  });
});

describe('observables of the settings', () => {
  const shared = { party, gender: party, unused: gender };
  const file = withSharedObservables(parser.parse(textOf('{ observables: [gender, party] }')), shared);

  it('are taken where a step names them and the file does not give them', () => {
    expect(file.observables.map(({ name, spec, shared: from }) => [name, spec, from])).toEqual([
      ['gender', gender, undefined],
      ['party', party, true],
    ]);
  });

  it('are told apart in the request and in a warning', () => {
    expect(requestOf(file, file.steps[0], 'm')).toMatchObject({
      observables: { gender, party },
      sharedObservables: ['party'],
    });
    expect(sharedWarnings(file, file.steps[0])).toEqual([
      'The observable party is not written in this file: it comes from the setting mechanist.observables or from --observables, as { " Democrat": 1, " Republican": -1 }.',
    ]);
  });

  it('are not taken for circuits, positions and other names', () => {
    const other = parser.parse(textOf('{ circuit: party }'));
    expect(withSharedObservables(other, shared)).toBe(other);
  });

  describe('in a run', () => {
    let place: ResultsPlace;
    beforeEach(() => {
      place = new ResultsPlace([kind]);
    });
    afterEach(() => place.remove());

    it('stand in its result', async () => {
      const run = withSharedObservables(parser.parse(textOf('{ cells: 1, observable: party }')), shared);
      const outcome = await place.run(textOf('{ cells: 1, observable: party }'), { file: run });
      expect(outcome.steps[0].warnings[0]).toContain('The observable party is not written in this file');
      expect(place.figures().request).toMatchObject({ observables: { party }, sharedObservables: ['party'] });
    });
  });
});

describe('a file of observables', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'mechanist-observables-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));
  const read = (text: string) => {
    const path = join(folder, 'observables.yaml');
    writeFileSync(path, text);
    return readObservablesFile(path);
  };

  it('is a map, or the settings of a workspace', async () => {
    expect(await read('gender: { " she": 1, " he": -1 }\n')).toEqual({ gender });
    expect(await read('{ "editor.fontSize": 12, "mechanist.observables": { "party": {" Democrat": 1} } }')).toEqual({
      party: { ' Democrat': 1 },
    });
  });

  it.each([
    ['[', /cannot be read/],
    ['word', /holds no observables/],
    ['gender: {}', /observables\.yaml: gender has to map tokens to weights/],
  ])('is refused when it is %j', async (text, message) => {
    const error = await read(text).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(MechanistError);
    expect((error as MechanistError).message).toMatch(message);
    await expect(readObservablesFile(join(folder, 'none.yaml'))).rejects.toThrow(/cannot be read/);
  });
});
