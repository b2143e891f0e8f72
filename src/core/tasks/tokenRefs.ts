import type { DatasetAnswer, DatasetHeader, SetRef, TokenRef } from '../../shared/dataset.ts';
import type { JsonPath } from './datasetJson.ts';
import type { Report } from './datasetReport.ts';

/** Whether a value names one vocabulary entry: a text, or an id from 0. */
export function isTokenRef(value: unknown): value is TokenRef {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0;
  return typeof value === 'string' && value !== '';
}

/** Whether a value names a set: `@caps`. */
export function isSetRef(value: unknown): value is SetRef {
  return typeof value === 'string' && /^@./.test(value);
}

/** A list of tokens; null with the wrong ones reported. @param help what is expected, when it is no list */
export function readTokens(value: unknown, path: JsonPath, help: string, report: Report): readonly TokenRef[] | null {
  if (!Array.isArray(value)) {
    report(path, 'wrong-type', help);
    return null;
  }
  const wrong = value.flatMap((one: unknown, i) => (isTokenRef(one) ? [] : [i]));
  for (const i of wrong) report([...path, i], 'wrong-type', 'A token is the text of one token, as " John", or its id.');
  return wrong.length === 0 ? value : null;
}

/**
 * The foils of an answer where only a list will do: a set of the header is written out, without the answer as it is written
 * there. `refuse` is told why another will not.
 */
export function foilList(
  { foils, token }: DatasetAnswer,
  header: DatasetHeader | null,
  refuse: (why: string) => never,
): readonly TokenRef[] {
  if (typeof foils !== 'string') return foils;
  const set = header?.sets[foils.slice(1)];
  if (set === undefined) return refuse(`its foils are ${foils}: write them as a list.`);
  return set.filter((one) => one !== token);
}
