import { describe, expect, it } from 'vitest';
import type { ParamsSchema } from '../../../src/core/experiments/stepKind.ts';
import { paramSchemas } from '../../../src/core/experiments/steps/paramSchemas.ts';
import { ExperimentParser } from '../../../src/core/tasks/experiment/experimentFile.ts';
import { withSharedObservables } from '../../../src/core/tasks/experiment/observableRefs.ts';
import { pathFormat } from '../../../src/core/tasks/experiment/pathRefs.ts';
import { readNamedObservables } from '../../../src/core/tasks/namedObservables.ts';
import { observableProblems } from '../../../src/extension/experiment/experimentTerms.ts';
import { ModelDirectory } from '../../../src/extension/modelDirectory.ts';
import { FakeEngine } from './fakeEngine.ts';

const params: ParamsSchema = {
  type: 'object',
  description: 'A toy.',
  additionalProperties: false,
  properties: {
    observable: paramSchemas.observable,
    paths: { type: 'array', items: { type: 'string', format: pathFormat } },
  },
};
const parser = new ExperimentParser([{ name: 'toy', params }]);
const named = readNamedObservables({ party: { ' Democrat': 1, Republican: -1 }, broken: {} });

async function problemsOf(params: string, model: string | null = 'm') {
  const text = `model: m\ndata: d.jsonl\nobservables:\n  gender: { " she": 1, he: -1 }\nsteps:\n  - run: toy\n    with: ${params}\n`;
  const file = withSharedObservables(parser.parse(text), named.specs);
  const problems = await observableProblems(file, model, named, new ModelDirectory(new FakeEngine()));
  return problems.map(({ code, start, end, fix }) => [code, text.slice(start, end), fix?.newText]);
}

// The fake engine's tokens begin with a space.
const own = ['token-splits', 'he', '" he"'];

describe('observables of an experiment', () => {
  it('are checked in the tokens of its model, where they are written', async () => {
    expect(await problemsOf('{ observable: gender }')).toEqual([own]);
    expect(await problemsOf('{ observable: { " a": 1, b: 2 } }')).toEqual([own, ['token-splits', 'b', '" b"']]);
  });

  it('that the settings have are checked where they are named, without a fix that would replace the name', async () => {
    expect(await problemsOf('{ observable: party }')).toEqual([own, ['token-splits', 'party', undefined]]);
    expect(await problemsOf('{ observable: broken }')).toEqual([['unknown-observable', 'broken', undefined], own]);
  });

  it('that nobody knows are underlined, with the nearest name; also without a model', async () => {
    expect(await problemsOf('{ observable: gendre }', null)).toEqual([['unknown-observable', 'gendre', 'gender']]);
    expect(await problemsOf('{ observable: xyz }', null)).toEqual([['unknown-observable', 'xyz', undefined]]);
  });

  it('stand beside paths, which are held against the layers and heads of the model', async () => {
    // The fake engine's models have 30 layers of 9 heads.
    expect(await problemsOf("{ paths: [L29.H8, 'L30.H0 <= L2.H9@name', MLP 30] }")).toEqual([
      ['bad-path', 'L30.H0', undefined],
      ['bad-path', 'L2.H9', undefined],
      ['bad-path', 'MLP 30', undefined],
      own,
    ]);
    expect(await problemsOf('{ paths: [L30.H0] }', null)).toEqual([]);
  });

  it('are asked for once', async () => {
    const engine = new FakeEngine();
    const models = new ModelDirectory(engine);
    const file = parser.parse(
      'model: m\ndata: d\nobservables: { g: { " a": 1 } }\nsteps: [{ run: toy, with: { paths: [L0.H0] } }]\n',
    );
    const asked = ['models.info', 'checkTerms'];
    await observableProblems(file, 'm', named, models);
    await observableProblems(file, 'm', named, models);
    expect(engine.asked.map(({ method }) => method)).toEqual(asked);
    models.refresh();
    await observableProblems(file, 'm', named, models);
    expect(engine.asked.map(({ method }) => method)).toEqual([...asked, ...asked]);
  });
});
