import { MechanistError } from './errors.ts';

/** JSON lacks NaN and infinities: they are written as these words. */
const words: Readonly<Record<string, number>> = {
  NaN: Number.NaN,
  Infinity: Number.POSITIVE_INFINITY,
  '-Infinity': Number.NEGATIVE_INFINITY,
};

function toPlain(value: number): number | string {
  return Number.isFinite(value) ? value : String(value);
}

/** Typed arrays become lists; NaN and infinities become words. */
function jsonValue(_key: string, value: unknown): unknown {
  if (value instanceof Float32Array) return [...value].map(toPlain);
  return typeof value === 'number' ? toPlain(value) : value;
}

/** A result as the text of a file `*.mechanist.json`. */
export function resultToJson(document: object): string {
  return `${JSON.stringify(document, jsonValue, 1)}\n`;
}

export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** True for a number and for a word that stands for one. */
export const isNumber = (value: unknown): boolean =>
  typeof value === 'number' || (typeof value === 'string' && value in words);

/** The number that was written; NaN for anything else. */
export function toNumber(value: unknown): number {
  return typeof value === 'number' ? value : (words[String(value)] ?? Number.NaN);
}

/** @throws MechanistError `bad-input`: the file is no result, and why */
export function refuseResult(what: string): never {
  throw new MechanistError('bad-input', `This is no result of Mechanist: ${what}.`);
}

/**
 * The object that a result's file holds, its schema version checked.
 * @throws MechanistError `bad-input`: not JSON, no object, no version, or a newer one
 */
export function parseResult(text: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    refuseResult(`it is not JSON (${error instanceof Error ? error.message : String(error)})`);
  }
  if (!isObject(value)) refuseResult('the file does not hold an object');
  const version = value.schemaVersion;
  if (typeof version !== 'number') refuseResult('schemaVersion is missing');
  if (version > 1) {
    throw new MechanistError(
      'bad-input',
      `This result was made by a newer Mechanist (schema version ${version}; this one reads 1). Update the extension to open it.`,
    );
  }
  return value;
}
