import { observableFormat } from '../../tasks/experiment/observableRefs.ts';

type Schema = Readonly<Record<string, unknown>>;

const texts: Schema = { type: 'array', items: { type: 'string' } };
const whole: Schema = { type: 'integer', minimum: 0 };

/** Parameters that several kinds of steps have. `metric` takes the experiment's where a step names none. */
export const paramSchemas = {
  metric: { type: 'object', description: 'How an answer is scored; default: the metric of the experiment.' },
  answers: { ...texts, description: 'Answers of the data that are read; default: all.' },
  layers: { type: 'array', items: whole, description: 'Layers that are run; default: all.' },
  roles: { ...texts, description: 'Roles of the data, in the order of the figure; default: all.' },
  corruption: {
    type: 'string',
    description:
      'Corruption of the data that the other run is made by; {answer} stands for the name of each answer: cur:{answer}.',
  },
  direction: {
    enum: ['noising', 'denoising'],
    default: 'noising',
    description:
      'noising: corrupted activation into the clean run. denoising: clean activation into the corrupted run.',
  },
  by: {
    enum: ['position', 'role'],
    description:
      'What the columns are: positions, or roles of the data. Default: positions where all rows have their roles at the same ones.',
  },
  observable: {
    // Found by the editor, which completes and checks what is written there.
    format: observableFormat,
    description:
      'A weighted sum of logits: a name of observables:, or tokens and weights, as { " she": 1, " he": -1 }.',
    oneOf: [{ type: 'string' }, { type: 'object', minProperties: 1, additionalProperties: { type: 'number' } }],
  },
  heads: {
    ...texts,
    minItems: 1,
    description:
      'Heads, as L8.H11, or circuits (a file beside the experiment or an earlier step), whose heads are taken.',
  },
} as const satisfies Readonly<Record<string, Schema>>;
