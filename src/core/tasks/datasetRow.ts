import type { DatasetAnswer, DatasetRow, RolePlace } from '../../shared/dataset.ts';
import { readCorruptions } from './corruptionSpec.ts';
import type { JsonPath } from './datasetJson.ts';
import { isRecord, type Report, reportUnknownKeys } from './datasetReport.ts';
import { isSetRef, isTokenRef, readTokens } from './tokenRefs.ts';

const rowKeys = ['id', 'clean', 'corrupted', 'corrupt', 'roles', 'answers', 'tags'] as const;
const answerKeys = ['name', 'pos', 'token', 'foils', 'also'] as const;

function readText(value: unknown, path: JsonPath, what: string, report: Report): string | null {
  if (value === undefined) {
    report(path.slice(0, -1), 'missing-key', `${what} is missing.`);
  } else if (typeof value !== 'string') {
    report(path, 'wrong-type', `${what} is a text in quotes.`);
  } else if (value === '') {
    report(path, 'prompt-empty', `${what} is empty.`);
  } else {
    return value;
  }
  return null;
}

function readPosition(value: unknown, path: JsonPath, report: Report): number | null {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value;
  report(path, 'wrong-type', 'A position is a whole number: 0 is the first token, -1 the last.');
  return null;
}

const placeHelp =
  'A role is a position (0 is the first token, -1 the last), a text that is one token (" Mary"), or {"token": " Mary", "nth": 2}.';

function readPlace(value: unknown, path: JsonPath, report: Report): RolePlace | null {
  if (typeof value === 'number') return readPosition(value, path, report);
  if (typeof value === 'string' && value !== '') return value;
  if (isRecord(value) && typeof value.token === 'string' && value.token !== '') {
    reportUnknownKeys(value, ['token', 'nth'], path, report);
    const { token, nth = 1 } = value;
    if (typeof nth === 'number' && Number.isSafeInteger(nth) && nth > 0) return { token, nth };
    report([...path, 'nth'], 'wrong-type', 'nth counts from 1: the first, second … time that the token occurs.');
    return null;
  }
  report(path, 'wrong-type', placeHelp);
  return null;
}

function readRoles(value: unknown, report: Report): Record<string, readonly RolePlace[]> | null {
  if (value === undefined) return {};
  if (!isRecord(value)) {
    report(['roles'], 'wrong-type', 'roles maps names to positions: {"S1": 2, "END": -1}.');
    return null;
  }
  const roles: [string, RolePlace[]][] = [];
  let good = true;
  for (const [name, at] of Object.entries(value)) {
    const list: unknown[] = Array.isArray(at) ? at : [at];
    const places = list.map((one, i) =>
      readPlace(one, Array.isArray(at) ? ['roles', name, i] : ['roles', name], report),
    );
    if (places.length === 0) report(['roles', name], 'wrong-type', `The role "${name}" has no position.`);
    const known = places.filter((place) => place !== null);
    if (known.length === 0 || known.length < places.length) good = false;
    roles.push([name, known]);
  }
  return good ? Object.fromEntries(roles) : null;
}

const foilsHelp = 'foils is a list of tokens, [" John"], a set of the header, "@names", or "@others".';

const alsoHelp = 'also is a list of the other right answers: ["33", "34"].';

function readAnswer(value: unknown, index: number, alone: boolean, report: Report): DatasetAnswer | null {
  const path: JsonPath = ['answers', index];
  if (!isRecord(value)) {
    report(path, 'wrong-type', 'An answer is {"name": "answer", "pos": -1, "token": " Mary", "foils": [" John"]}.');
    return null;
  }
  reportUnknownKeys(value, answerKeys, path, report);
  const { name = alone ? 'answer' : `answer ${index + 1}`, pos = -1, token, foils = [] } = value;
  const position = readPosition(pos, [...path, 'pos'], report);
  let good = position !== null;
  if (typeof name !== 'string' || name === '') {
    report([...path, 'name'], 'wrong-type', 'The name of an answer is a text in quotes.');
    good = false;
  }
  if (!isTokenRef(token)) {
    const code = token === undefined ? 'missing-key' : 'wrong-type';
    report([...path, 'token'], code, 'token is the text of one token, as " Mary", or its id.');
    good = false;
  }
  const known = isSetRef(foils) ? foils : readTokens(foils, [...path, 'foils'], foilsHelp, report);
  if (known === null) return null;
  const also = value.also === undefined ? [] : readTokens(value.also, [...path, 'also'], alsoHelp, report);
  if (also === null) return null;
  const more = value.also === undefined ? {} : { also };
  return good ? ({ name, pos: position, token, foils: known, ...more } as DatasetAnswer) : null;
}

function readAnswers(value: unknown, report: Report): DatasetAnswer[] | null {
  if (value === undefined) return [];
  if (!Array.isArray(value)) {
    report(['answers'], 'wrong-type', 'answers is a list: [{"pos": -1, "token": " Mary", "foils": [" John"]}].');
    return null;
  }
  const answers = value.map((answer: unknown, i) => readAnswer(answer, i, value.length === 1, report));
  const known = answers.filter((answer) => answer !== null);
  const names = new Set<string>();
  for (const [index, answer] of answers.entries()) {
    if (answer === null) continue;
    if (names.has(answer.name)) {
      report(['answers', index, 'name'], 'duplicate-name', `Two answers of this row are named "${answer.name}".`);
      return null;
    }
    names.add(answer.name);
  }
  return known.length === answers.length ? known : null;
}

function readTags(value: unknown, report: Report): readonly string[] | null {
  if (value === undefined) return [];
  if (Array.isArray(value) && value.every((tag) => typeof tag === 'string')) return value;
  report(['tags'], 'wrong-type', 'tags is a list of texts: ["ABBA"].');
  return null;
}

function readId(value: unknown, otherwise: string, report: Report): string | null {
  if (value === undefined) return otherwise;
  if ((typeof value === 'string' && value !== '') || Number.isSafeInteger(value)) return String(value);
  report(['id'], 'wrong-type', 'id is a text or a whole number.');
  return null;
}

/**
 * Checks the shape of a row that was parsed from JSON. `defaultId` is taken where there is none. Null when something is
 * wrong, with at least one error reported; never throws.
 */
export function readRow(value: unknown, defaultId: string, report: Report): DatasetRow | null {
  if (!isRecord(value)) {
    report([], 'wrong-type', 'Each line of a dataset is an object: {"clean": "…", "answers": […]}.');
    return null;
  }
  reportUnknownKeys(value, rowKeys, [], report);
  const id = readId(value.id, defaultId, report);
  const clean = readText(value.clean, ['clean'], 'The clean prompt ("clean")', report);
  const corrupted =
    value.corrupted === undefined || value.corrupted === null
      ? undefined
      : readText(value.corrupted, ['corrupted'], 'The corrupted prompt ("corrupted")', report);
  const corrupt = value.corrupt === undefined ? undefined : readCorruptions(value.corrupt, ['corrupt'], report);
  const roles = readRoles(value.roles, report);
  const answers = readAnswers(value.answers, report);
  const tags = readTags(value.tags, report);
  if (id === null || clean === null || corrupted === null || corrupt === null || !roles || !answers || !tags)
    return null;
  const given = { ...(corrupted !== undefined && { corrupted }), ...(corrupt !== undefined && { corrupt }) };
  return { id, clean, ...given, roles, answers, tags };
}
