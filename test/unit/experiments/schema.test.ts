import { Ajv } from 'ajv';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { stepKinds } from '../../../src/core/experiments/stepKinds.ts';
import { ExperimentParser } from '../../../src/core/tasks/experiment/experimentFile.ts';
import { experimentSchema, vocabularyOf } from '../../../src/core/tasks/experiment/experimentSchema.ts';
import { analysesPage } from './analysesPage.ts';
import { fileText, toyKinds } from './toyKinds.ts';

describe('the schema of experiment files', () => {
  it('is committed as the registry of analyses generates it', async () => {
    const text = `${JSON.stringify(experimentSchema(stepKinds), null, 2)}\n`;
    await expect(text).toMatchFileSnapshot('../../../media/schemas/experiment.schema.json');
  });

  it('has a page of all analyses and their parameters that says the same', async () => {
    await expect(analysesPage(stepKinds)).toMatchFileSnapshot('../../../docs/analyses.md');
  });

  it('gives the editor every analysis with its parameters', () => {
    const read = vocabularyOf(JSON.parse(JSON.stringify(experimentSchema(stepKinds))));
    expect(read.map(({ name }) => name)).toEqual(stepKinds.map(({ name }) => name));
    for (const [i, { params }] of stepKinds.entries()) {
      const { metric: _ours, ...rest } = params.properties;
      const { metric: _theirs, ...properties } = read[i].params.properties;
      expect({ ...read[i].params, properties }).toEqual({ ...params, properties: rest });
    }
  });

  it('has names that are texts without spaces, and a description of each parameter', () => {
    const names = stepKinds.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const { name, params } of stepKinds) {
      expect(name).toMatch(/^[a-z][a-z0-9-]*$/);
      expect(params.description.length).toBeGreaterThan(20);
      for (const [key, property] of Object.entries(params.properties)) {
        expect(typeof property.description, `${name}: ${key} has a description`).toBe('string');
      }
    }
  });

  const valid = new Ajv({ allErrors: true, strict: false }).compile(experimentSchema(toyKinds));
  const parser = new ExperimentParser(toyKinds);
  const errorsOf = (text: string) => parser.parse(text).problems.filter(({ severity }) => severity === 'error');

  it.each([
    ['a whole file', fileText()],
    ['the short forms', 'model: m\ndata: d.jsonl\nmetric: kl\nsteps: [toy]\nexpect:\n  toy sum: 1\n'],
    ['long expectations', `${fileText()}expect:\n  - { step: toy, value: sum, low: 1, note: x }\n`],
    ['no model', fileText().replace(/^model.*\n/, '')],
    ['an unknown key', `${fileText()}modle: x\n`],
    ['an unknown analysis', fileText().replace('run: toy', 'run: tyo')],
    ['a wrong parameter', fileText().replace('cells: 6', 'cells: many')],
    ['an unknown parameter', fileText().replace('cells: 6', 'cels: 6')],
    ['a metric of a step', fileText().replace('cells: 6', 'metric: kl')],
    ['a wrong metric of a step', fileText().replace('cells: 6', 'metric: { kind: kll }')],
    ['rows of 0', fileText().replace('data: d.jsonl', 'data: { file: d.jsonl, rows: 0 }')],
    ['a negative seed', `${fileText()}seed: -1\n`],
    ['an unknown metric', `${fileText()}metric: logit-differnce\n`],
    ['no steps', fileText().replace(/steps:[\s\S]*/, 'steps: []\n')],
  ])('and the parser agree on %s', (_name, text) => {
    expect(valid(parse(text)), JSON.stringify(valid.errors)).toBe(errorsOf(text).length === 0);
  });
});
