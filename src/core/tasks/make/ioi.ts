import type { DatasetHeader } from '../../../shared/dataset.ts';
import { MechanistError } from '../../../shared/errors.ts';
import { seededRandom } from '../../../shared/statistics.ts';
import type { Tokenizer } from '../../models/tokenizer.ts';
import { type Draw, drawRows, type MadeDataset, type MakeOptions } from './drawRows.ts';
import { NAMES, OBJECTS, PLACES } from './words.ts';

/** All of as many words, so that roles stand at the same places where every word is one token. */
const TEMPLATES = [
  ['When', 'went to', 'gave'],
  ['After', 'went to', 'gave'],
  ['When', 'came to', 'handed'],
  ['After', 'came to', 'handed'],
] as const;

const singles = (words: readonly string[], tokenizer: Tokenizer) =>
  words.filter((word) => tokenizer.encodePiece(` ${word}`).length === 1);

/**
 * Indirect object identification (Wang et al. 2022, arXiv 2211.00593): `When Mary and John went to the shop, John gave a
 * drink to` → ` Mary` against ` John`. Half of the rows are ABBA (the indirect object first), half BABA. Roles IO, S1, S1+1,
 * S2, END. `corrupted` flips the second subject to the indirect object, so that the other name is right; the corruption
 * `abc` puts three other names, no two alike, in the places of IO, S1 and S2. Differences from the paper: four templates of
 * equal length instead of fifteen, all words single tokens. No forward passes.
 * @throws MechanistError `bad-input` when the tokenizer has too few names
 */
export function makeIoi(tokenizer: Tokenizer, options: MakeOptions): MadeDataset {
  const random = seededRandom(options.seed);
  const one = <T>(from: readonly T[]): T => from[random.below(from.length)];
  const [names, places, objects] = [NAMES, PLACES, OBJECTS].map((words) => singles(words, tokenizer));
  if (names.length < 6 || places.length === 0 || objects.length === 0) {
    const found = `${names.length} names, ${places.length} places and ${objects.length} things`;
    throw new MechanistError(
      'bad-input',
      `This tokenizer has ${found} that are one token; indirect objects need at least 6 names, a place and a thing.`,
    );
  }
  const offset = tokenizer.encode('When').length - 1;
  const draw = (index: number): Draw => {
    const abba = index % 2 === 0;
    const [io, s] = [one(names), one(names)];
    if (io === s) return 'both names are the same';
    const [opener, went, gave] = one(TEMPLATES);
    const [first, second] = abba ? [io, s] : [s, io];
    const start = `${opener} ${first} and ${second} ${went} the ${one(places)},`;
    const rest = `${gave} a ${one(objects)} to`;
    const [clean, corrupted] = [s, io].map((giver) => `${start} ${giver} ${rest}`);
    const texts = clean.split(/(?= )|(?=,)/);
    const tokens = tokenizer.encode(clean).slice(offset);
    if (tokens.length !== texts.length || tokens.some(({ text }, i) => text !== texts[i])) {
      return 'a word is several tokens';
    }
    const [a, b, s2] = [offset + 1, offset + 3, offset + 9];
    const roles = { IO: [abba ? a : b], S1: [abba ? b : a], 'S1+1': [abba ? b + 1 : a + 1], S2: [s2], END: [-1] };
    const answers = [{ name: 'answer', pos: -1, token: ` ${io}`, foils: [` ${s}`] }];
    return { clean, corrupted, roles, answers, tags: [abba ? 'ABBA' : 'BABA'] };
  };
  const { rows, refused } = drawRows('indirect object identification', options, draw);
  const header: Omit<DatasetHeader, 'line'> = {
    name: 'indirect object identification',
    seed: options.seed,
    sets: { names: names.map((name) => ` ${name}`) },
    roles: { IO: '@names', S1: '@names', S2: '@names' },
    corruptions: { abc: [{ replace: ['IO', 'S1', 'S2'], from: '@names', distinct: true }] },
    made: { by: 'ioi', seed: options.seed, rows: rows.length, refused, vocabulary: { names: names.length } },
  };
  return { header, rows, refused };
}
