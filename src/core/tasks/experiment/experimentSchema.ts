import { metricKinds } from '../../../shared/metric.ts';
import type { ParamsSchema } from '../../experiments/stepKind.ts';
import type { StepVocabulary } from './experimentTypes.ts';

type Schema = Readonly<Record<string, unknown>>;

const metric: Schema = {
  description:
    'How a run is scored at each answer; steps that score use it unless they name their own. Default: the logit difference to the largest foil.',
  oneOf: [
    { enum: metricKinds },
    {
      type: 'object',
      required: ['kind'],
      additionalProperties: false,
      properties: {
        kind: {
          enum: metricKinds,
          description:
            'logit-difference (answer minus foils, logits), log-prob (nats), prob, prob-sum-difference (right answers minus foils), cross-entropy (nats), kl (to the clean run, nats), rank (0 = first choice).',
        },
        foil: {
          enum: ['one', 'mean', 'max'],
          description: 'What several foils are put together to: refuse several, their mean logit, their largest logit.',
        },
        normalize: {
          enum: ['denoising', 'noising'],
          description: 'denoising: 0 = as corrupted, 1 = as clean. noising: 0 = as clean, −1 = as corrupted.',
        },
      },
    },
  ],
};

const observables: Schema = {
  description:
    'Observables that steps refer to by name: weighted sums of logits, as `gender: { " she": 1, " he": -1 }`. A leading space belongs to the token.',
  type: 'object',
  additionalProperties: { type: 'object', minProperties: 1, additionalProperties: { type: 'number' } },
};

const data: Schema = {
  description: 'The dataset, relative to this file.',
  oneOf: [
    { type: 'string' },
    {
      type: 'object',
      required: ['file'],
      additionalProperties: false,
      properties: {
        file: { type: 'string', description: 'A `.jsonl` file with prompts, roles, answers and corruptions.' },
        rows: { type: 'integer', minimum: 1, description: 'The first so many rows; without it, all.' },
      },
    },
  ],
};

const longExpectation: Schema = {
  type: 'object',
  required: ['step', 'value'],
  additionalProperties: false,
  properties: {
    step: { type: 'string', description: 'Name of a step.' },
    value: { type: 'string', description: 'One of its values, as `L3.8.11`. The result lists them.' },
    equals: { type: 'number', description: 'The expected number.' },
    tolerance: { type: 'number', description: 'How far off it may be; without it half a unit of the last digit.' },
    low: { type: 'number', description: 'Least number that passes.' },
    high: { type: 'number', description: 'Largest number that passes.' },
    from: { type: 'string', description: 'Where the range comes from.' },
    model: { type: 'string', description: 'Holds for this model only; on another one it does not apply.' },
    note: { type: 'string', description: 'Why a difference is a remark and no failure.' },
  },
};

const shortExpectation: Schema = {
  type: 'object',
  propertyNames: { pattern: '\\S\\s+\\S' },
  additionalProperties: { type: ['string', 'number'] },
};

const expect: Schema = {
  description:
    'Numbers that the steps should give: `- residual L3.8.11: −6.8 ± 0.5 (paper)`. A range is `−7.1 … −6.2`, a bound `≥ 2`. A number that moves out is underlined here and fails `mechanist run`.',
  oneOf: [
    {
      type: 'array',
      items: { oneOf: [longExpectation, shortExpectation] },
    },
    shortExpectation,
  ],
};

function step(names: readonly string[]): Schema {
  return {
    type: 'object',
    required: ['run'],
    additionalProperties: false,
    properties: {
      name: {
        type: 'string',
        description: 'Name of the step and of its files; default: the analysis. Each step has its own.',
      },
      run: { enum: names, description: 'The analysis.' },
      with: { type: 'object', description: 'Its parameters.' },
    },
    allOf: names.map((name) => ({
      if: { properties: { run: { const: name } } },
      // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema.
      then: { properties: { with: { $ref: `#/definitions/parameters/${name}` } } },
    })),
  };
}

/** A step's metric is written as the experiment's. */
function withMetric(params: ParamsSchema): ParamsSchema {
  if (!('metric' in params.properties)) return params;
  const { description } = params.properties.metric;
  return { ...params, properties: { ...params.properties, metric: { ...metric, description } } };
}

/** The JSON Schema of experiment files: `media/schemas/experiment.schema.json`, from which the editor takes its words. */
export function experimentSchema(kinds: readonly StepVocabulary[]): Schema {
  const names = kinds.map(({ name }) => name);
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    $id: 'experiment.schema.json',
    title: 'Experiment of Mechanist (*.experiment.yaml)',
    type: 'object',
    required: ['model', 'data', 'steps'],
    additionalProperties: false,
    properties: {
      model: {
        type: 'string',
        description:
          'The model that is taken apart: a catalogue id, a folder with `config.json`, or a `.gguf` file, relative to this file.',
      },
      data,
      seed: { type: 'integer', minimum: 0, default: 0, description: 'Of everything that is drawn at random.' },
      metric,
      observables,
      steps: {
        type: 'array',
        minItems: 1,
        items: { oneOf: [{ enum: names }, { $ref: '#/definitions/step' }] },
        description: 'What is run, in this order. A later step may use the circuit of an earlier one by its name.',
      },
      expect,
    },
    definitions: {
      step: step(names),
      parameters: Object.fromEntries(kinds.map(({ name, params }) => [name, withMetric(params)])),
    },
  };
}

/** The analyses that a schema made by `experimentSchema` knows. */
export function vocabularyOf(schema: unknown): readonly StepVocabulary[] {
  const { parameters } = (schema as { definitions: { parameters: Readonly<Record<string, ParamsSchema>> } })
    .definitions;
  return Object.entries(parameters).map(([name, params]) => ({ name, params }));
}
