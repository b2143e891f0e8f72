import type { DatasetAnswer, DatasetProblem, DatasetRow, TokenRef } from '../../shared/dataset.ts';
import { MechanistError } from '../../shared/errors.ts';
import type { Tokenizer } from '../models/tokenizer.ts';
import { cappedProblems, type Dataset } from './dataset.ts';
import { firstJsonError, type JsonPath, locateAllJson } from './datasetJson.ts';
import { isRecord, type Report } from './datasetReport.ts';
import { readRow } from './datasetRow.ts';
import { foilList } from './tokenRefs.ts';

type Found = Omit<DatasetProblem, 'line' | 'column' | 'length'> & { readonly path: JsonPath };

/** Line and column of offsets; the text is walked once. */
function placesOf(text: string, ranges: readonly { readonly start: number; readonly end: number }[]) {
  const starts = [0];
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  return ranges.map(({ start, end }) => {
    let line = 0;
    let high = starts.length - 1;
    while (line < high) {
      const middle = (line + high + 1) >> 1;
      if (starts[middle] <= start) line = middle;
      else high = middle - 1;
    }
    const endOfLine = starts[line + 1] === undefined ? text.length : starts[line + 1] - 1;
    return { line, column: start - starts[line], length: Math.max(1, Math.min(end, endOfLine) - start) };
  });
}

function located(text: string, found: readonly Found[]): readonly DatasetProblem[] {
  const listed = found.slice(0, 101);
  const ranges = locateAllJson(
    text,
    listed.map(({ path }) => path),
  ).map((range) => range ?? { start: 0, end: 1 });
  const places = placesOf(text, ranges);
  const problems = found.map(({ severity, code, message }, i) => ({
    ...(places[i] ?? places[places.length - 1]),
    severity,
    code,
    message,
  }));
  return cappedProblems(problems);
}

/** Keys of our rows → AutoCircuit's, so that a problem is shown where the file has it. */
function theirPath(index: number, path: JsonPath): JsonPath {
  const [key, ...rest] = path;
  const start = ['prompts', index];
  if (key === 'corrupted') return [...start, 'corrupt'];
  if (key === 'answers' && rest[1] === 'foils') return [...start, 'wrong_answers', ...rest.slice(2)];
  if (key === 'answers') return [...start, 'answers', ...rest.slice(0, 1)];
  return [...start, ...path];
}

const listOf = (value: unknown): unknown[] => (value === undefined ? [] : Array.isArray(value) ? value : [value]);

function readPrompt(value: unknown, index: number, roles: Record<string, number>, report: Report): DatasetRow | null {
  const path: JsonPath = ['prompts', index];
  if (!isRecord(value)) {
    report(path, 'wrong-type', 'A prompt is an object with clean, corrupt, answers and wrong_answers.');
    return null;
  }
  if (Array.isArray(value.clean) || Array.isArray(value.corrupt)) {
    const message = 'Prompts of token ids cannot be imported: write them as text.';
    report([...path, 'clean'], 'not-imported', message);
    return null;
  }
  const tokens = listOf(value.answers);
  const foils = listOf(value.wrong_answers);
  const answers = tokens.map((token, i) => ({
    name: tokens.length === 1 ? 'answer' : `answer ${i + 1}`,
    pos: -1,
    token,
    foils,
  }));
  const row = { id: index + 1, clean: value.clean, corrupted: value.corrupt, roles, answers };
  return readRow(row, String(index + 1), (at, ...rest) => report(theirPath(index, at), ...rest));
}

function readWordPositions(value: unknown, offset: number, report: Report): Record<string, number> {
  if (value === undefined) return {};
  if (isRecord(value) && Object.values(value).every(Number.isSafeInteger)) {
    return Object.fromEntries(Object.entries(value).map(([name, at]) => [name, Number(at) + offset]));
  }
  report(['word_idxs'], 'wrong-type', 'word_idxs maps names to positions; it is ignored.', 'warning');
  return {};
}

/**
 * Reads AutoCircuit's task file, `{prompts: [{clean, corrupt, answers, wrong_answers}], word_idxs?, seq_labels?}`. Each
 * answer becomes one of ours at the last position with all wrong answers as foils: the logit difference with foil `mean`
 * is then AutoCircuit's mean answer − mean wrong answer. `word_idxs` become roles of every row; `seq_labels` are left out.
 * Never throws.
 * @param positionOffset added to `word_idxs`, which do not count a BOS token: 1 for a tokenizer that adds one
 */
export function importAutoCircuit(text: string, positionOffset = 0): Dataset {
  const found: Found[] = [];
  const report: Report = (path, code, message, severity = 'error') => found.push({ path, code, message, severity });
  let value: unknown;
  try {
    value = JSON.parse(text.replace(/^\uFEFF/, ' '));
  } catch {
    const start = Math.max(0, Math.min(firstJsonError(text.replace(/^\uFEFF/, ' ')) ?? 0, text.length - 1));
    const [place] = placesOf(text, [{ start, end: start + 1 }]);
    const message = 'This is not JSON. AutoCircuit writes {"prompts": [{"clean": …, "corrupt": …, "answers": […]}]}.';
    return { rows: [], problems: [{ ...place, severity: 'error', code: 'not-json', message }] };
  }
  const rows: DatasetRow[] = [];
  if (!isRecord(value) || !Array.isArray(value.prompts)) {
    const message = 'A task file of AutoCircuit has a list "prompts".';
    report(isRecord(value) && value.prompts !== undefined ? ['prompts'] : [], 'missing-key', message);
  } else {
    const roles = readWordPositions(value.word_idxs, positionOffset, report);
    if (value.seq_labels !== undefined) {
      report(['seq_labels'], 'not-imported', 'seq_labels are not imported: name positions by word_idxs.', 'warning');
    }
    value.prompts.forEach((prompt: unknown, index) => {
      const row = readPrompt(prompt, index, roles, report);
      if (row !== null) rows.push(row);
    });
  }
  return { rows, problems: located(text.replace(/^\uFEFF/, ' '), found) };
}

function sharedRoles(rows: readonly DatasetRow[]): Record<string, number> | null {
  const first = JSON.stringify(rows[0]?.roles ?? {});
  const roles = Object.entries(rows[0]?.roles ?? {});
  const same = rows.every((row) => JSON.stringify(row.roles) === first);
  const positions = roles.flatMap(([name, [at, ...more]]) =>
    typeof at === 'number' && more.length === 0 ? [[name, at] as const] : [],
  );
  return same && roles.length > 0 && positions.length === roles.length ? Object.fromEntries(positions) : null;
}

function refuse(row: DatasetRow, why: string): never {
  throw new MechanistError('bad-input', `Row "${row.id}" cannot be written for AutoCircuit: ${why}`, { id: row.id });
}

function writePrompt(row: DatasetRow, tokenizer: Pick<Tokenizer, 'decode'>) {
  const textOf = (token: TokenRef) => (typeof token === 'number' ? tokenizer.decode([token]) : token);
  const foils = (answer: DatasetAnswer) =>
    JSON.stringify(foilList(answer, null, (why) => refuse(row, why)).map(textOf));
  const [first] = row.answers;
  if (first === undefined) refuse(row, 'it has no answer.');
  if (row.corrupted === undefined) refuse(row, 'it has no corrupted prompt.');
  if (row.answers.some(({ pos }) => pos !== -1))
    refuse(row, 'AutoCircuit reads answers at the last position only (pos -1).');
  if (row.answers.some((answer) => foils(answer) !== foils(first))) refuse(row, 'its answers have unlike foils.');
  return {
    clean: row.clean,
    corrupt: row.corrupted,
    answers: row.answers.map(({ token }) => textOf(token)),
    wrong_answers: foilList(first, null, (why) => refuse(row, why)).map(textOf),
  };
}

/**
 * Rows as AutoCircuit's task file. Ids, names, tags, and roles that are not the same in all rows are left out.
 * @throws MechanistError `bad-input` at the first row it has no place for
 */
export function exportAutoCircuit(rows: readonly DatasetRow[], tokenizer: Pick<Tokenizer, 'decode'>): string {
  const roles = sharedRoles(rows);
  const prompts = rows.map((row) => writePrompt(row, tokenizer));
  return `${JSON.stringify({ ...(roles !== null && { word_idxs: roles }), prompts }, null, 1)}\n`;
}
