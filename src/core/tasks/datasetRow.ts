import type { DatasetAnswer, DatasetProblem, DatasetProblemCode, DatasetRow, TokenRef } from '../../shared/dataset.ts';
import { type JsonPath, locateJson } from './datasetJson.ts';
import { nearestWord } from './nearestWord.ts';

const rowKeys = ['id', 'clean', 'corrupted', 'roles', 'answers', 'tags'] as const;
const answerKeys = ['name', 'pos', 'token', 'foils'] as const;

/** Says at which value of a line something is wrong. */
export type Report = (
  path: JsonPath,
  code: DatasetProblemCode,
  message: string,
  severity?: DatasetProblem['severity'],
) => void;

/** A reporter that puts each problem at its value in `text`, which is line `line` of the file. */
export function reporter(text: string, line: number, problems: DatasetProblem[]): Report {
  return (path, code, message, severity = 'error') => {
    const range = locateJson(text, path) ?? { start: 0, end: text.length };
    problems.push({
      line,
      column: range.start,
      length: Math.max(1, range.end - range.start),
      severity,
      code,
      message,
    });
  };
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Warns of keys that nothing reads, with the one that was probably meant. */
function reportUnknownKeys(
  value: Record<string, unknown>,
  known: readonly string[],
  path: JsonPath,
  report: Report,
): void {
  for (const key of Object.keys(value)) {
    if (known.includes(key)) continue;
    const near = nearestWord(key, known);
    const advice = near === null ? `Keys: ${known.join(', ')}.` : `Did you mean ${near}?`;
    report([...path, key], 'unknown-key', `"${key}" is not a key of a dataset and is ignored. ${advice}`, 'warning');
  }
}

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

function isTokenRef(value: unknown): value is TokenRef {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0;
  return typeof value === 'string' && value !== '';
}

function readPosition(value: unknown, path: JsonPath, report: Report): number | null {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value;
  report(path, 'wrong-type', 'A position is a whole number: 0 is the first token, -1 the last.');
  return null;
}

function readRoles(value: unknown, report: Report): Record<string, readonly number[]> | null {
  if (value === undefined) return {};
  if (!isRecord(value)) {
    report(['roles'], 'wrong-type', 'roles maps names to positions: {"S1": 2, "END": -1}.');
    return null;
  }
  const roles: [string, number[]][] = [];
  let good = true;
  for (const [name, at] of Object.entries(value)) {
    const list: unknown[] = Array.isArray(at) ? at : [at];
    const positions = list.map((one, i) =>
      readPosition(one, Array.isArray(at) ? ['roles', name, i] : ['roles', name], report),
    );
    if (positions.length === 0) report(['roles', name], 'wrong-type', `The role "${name}" has no position.`);
    const known = positions.filter((p) => p !== null);
    if (known.length === 0 || known.length < positions.length) good = false;
    roles.push([name, known]);
  }
  return good ? Object.fromEntries(roles) : null;
}

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
  if (!Array.isArray(foils)) {
    report([...path, 'foils'], 'wrong-type', 'foils is a list of tokens: [" John"].');
    return null;
  }
  foils.forEach((foil, i) => {
    if (isTokenRef(foil)) return;
    report([...path, 'foils', i], 'wrong-type', 'A foil is the text of one token, as " John", or its id.');
    good = false;
  });
  return good ? ({ name, pos: position, token, foils } as DatasetAnswer) : null;
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
  const roles = readRoles(value.roles, report);
  const answers = readAnswers(value.answers, report);
  const tags = readTags(value.tags, report);
  if (id === null || clean === null || corrupted === null || !roles || !answers || !tags) return null;
  return { id, clean, ...(corrupted !== undefined && { corrupted }), roles, answers, tags };
}
