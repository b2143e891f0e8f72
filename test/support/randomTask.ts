import type { ModelConfig } from '../../src/core/models/modelConfig.ts';
import { seededRandom } from '../../src/shared/statistics.ts';
import type { TaskItem, TaskSet } from '../../src/shared/taskSet.ts';

/**
 * Random rows for a random model: two answers with two foils each, one corruption `other` that changes some tokens.
 * @param lengths tokens of each row
 */
export function randomTask(config: Pick<ModelConfig, 'dVocab'>, lengths: readonly number[], seed = 1): TaskSet {
  const random = seededRandom(seed);
  const token = () => random.below(config.dVocab);
  const items = lengths.map((length, i): TaskItem => {
    const ids = Array.from({ length }, token);
    const corrupted = ids.map((id, position) => (position > 0 && position < length - 2 ? token() : id));
    const answers = ['A', 'B'].map((name, a) => {
      const [answer, ...foils] = random.permutation(config.dVocab).slice(0, 3);
      return { name, position: length - 2 + a, answer, foils };
    });
    return {
      id: `r${i}`,
      text: ids.map((id) => ` t${id}`).join(''),
      ids,
      tokens: ids.map((id) => ` t${id}`),
      roles: { first: [0], end: [length - 2, length - 1] },
      answers,
      tags: [],
      corrupted: { other: corrupted },
    };
  });
  return {
    name: 'random',
    items,
    roles: ['first', 'end'],
    answerNames: ['A', 'B'],
    corruptions: ['other'],
    seed,
    hash: '0'.repeat(64),
    refused: 0,
    problems: [],
  };
}
