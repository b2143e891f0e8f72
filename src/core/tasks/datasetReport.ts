import type { DatasetProblem, DatasetProblemCode } from '../../shared/dataset.ts';
import { type JsonPath, locateJson } from './datasetJson.ts';
import { nearestWord } from './nearestWord.ts';

/** Says at which value of a line something is wrong. */
export type Report = (
  path: JsonPath,
  code: DatasetProblemCode,
  message: string,
  severity?: DatasetProblem['severity'],
) => void;

/** A reporter that puts each problem at its value in `text`, which is line `line` of the file. */
export function reporter(text: string, line: number, problems: { push(problem: DatasetProblem): void }): Report {
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
export function reportUnknownKeys(
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
