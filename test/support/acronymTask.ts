import type { Tokenizer } from '../../src/core/models/tokenizer.ts';
import { seededRandom } from '../../src/shared/statistics.ts';
import type { TaskItem, TaskSet } from '../../src/shared/taskSet.ts';

const CAPITALS = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZ'];
const VOWELS = [...'aeiou'];
/** Tails that both acronym models have as one token. */
const TAILS = VOWELS.flatMap((vowel) => ['d', 'l', 'n', 's'].map((coda) => vowel + coda));

/**
 * Acronyms of three words for the bundled acronym models, no letter twice in a row. Corruption `all`: another row's words and
 * letters, none of them at the same place.
 */
export function acronymTask(tokenizer: Tokenizer, rows: number, seed = 1): TaskSet {
  const random = seededRandom(seed);
  const one = (text: string) => {
    const ids = tokenizer.encodePiece(text);
    if (ids.length !== 1) throw new Error(`"${text}" is ${ids.length} tokens.`);
    return ids[0];
  };
  const bare = CAPITALS.map((letter) => one(letter));
  const draw = () => random.permutation(26).slice(0, 3);
  const idsOf = (letters: readonly number[]) => [
    ...[0, one('The')],
    ...letters.flatMap((letter) => [one(` ${CAPITALS[letter]}`), one(TAILS[random.below(TAILS.length)])]),
    ...[one(' ('), bare[letters[0]], bare[letters[1]]],
  ];
  const items = Array.from({ length: rows }, (_, i): TaskItem => {
    const letters = draw();
    let others = draw();
    while (others.some((letter, k) => letter === letters[k])) others = draw();
    const ids = idsOf(letters);
    return {
      id: `r${i}`,
      text: ids.map((id) => tokenizer.tokenText(id)).join(''),
      ids,
      tokens: ids.map((id) => tokenizer.tokenText(id)),
      roles: { C1: [2], T1: [3], C2: [4], T2: [5], C3: [6], T3: [7], P: [8], A1: [9], A2: [10] },
      answers: letters.map((letter, k) => ({
        ...{ name: `L${k + 1}`, position: 8 + k, answer: bare[letter] },
        foils: bare.filter((id) => id !== bare[letter]),
      })),
      tags: [],
      corrupted: { all: idsOf(others) },
    };
  });
  const roles = ['C1', 'T1', 'C2', 'T2', 'C3', 'T3', 'P', 'A1', 'A2'];
  const about = {
    roles,
    answerNames: ['L1', 'L2', 'L3'],
    corruptions: ['all'],
    seed,
    hash: String(seed).padStart(64, '0'),
  };
  return { name: 'acronyms', items, ...about, refused: 0, problems: [] };
}
