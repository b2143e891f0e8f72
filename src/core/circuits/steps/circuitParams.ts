import type { AblationValue } from '../../../shared/circuit.ts';
import { MechanistError } from '../../../shared/errors.ts';
import type { TaskSet } from '../../../shared/taskSet.ts';

/** JSON Schemas of parameters that several steps have. */
export const circuitParams = {
  metric: { type: 'object', description: 'How an answer is scored; default: the metric of the experiment.' },
  answer: { type: 'string', description: 'Scores one answer of the data; default: the mean over a row’s answers.' },
  ablation: {
    type: 'object',
    description:
      'What stands in for what is not in the circuit: {kind: mean, corruption: cur}, {kind: mean} (of the clean runs), {kind: zero} or {kind: resample, corruption: cur}.',
    properties: {
      kind: {
        enum: ['zero', 'mean', 'resample'],
        description: 'Zero, the mean over the rows at each position, or the same row corrupted.',
      },
      corruption: { type: 'string', description: 'Name of a corruption of the data.' },
    },
    required: ['kind'],
    additionalProperties: false,
  },
} as const;

/** @throws MechanistError `bad-input` for a corruption that the data lack, or a resample without one */
export function checkAblation(ablation: AblationValue, task: TaskSet): void {
  if (ablation.kind === 'zero') return;
  const { corruption } = ablation;
  const known = task.corruptions.length === 0 ? 'The data have none.' : `The data have ${task.corruptions.join(', ')}.`;
  if (ablation.kind === 'resample' && corruption === undefined) {
    throw new MechanistError('bad-input', `Resampling needs a corruption of the data. ${known}`);
  }
  if (corruption !== undefined && !task.corruptions.includes(corruption)) {
    throw new MechanistError('bad-input', `There is no corruption "${corruption}". ${known}`, { corruption });
  }
}

/** @throws MechanistError `bad-input` for an answer that no row of the data has */
export function checkAnswer({ answerNames }: TaskSet, answer: string | undefined): void {
  if (answer === undefined || answerNames.includes(answer)) return;
  const message = `There is no answer "${answer}". The data have ${answerNames.join(', ')}.`;
  throw new MechanistError('bad-input', message, { answer });
}
