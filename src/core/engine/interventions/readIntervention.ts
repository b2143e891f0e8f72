import type { Intervention, InterventionKind } from '../../../shared/intervention.ts';
import { nearestWord } from '../../tasks/nearestWord.ts';

/** Field names by kind; `at` and `kind` belong to all. A question mark says that the field may be left out. */
const FIELDS: Readonly<Record<InterventionKind, readonly string[]>> = {
  zero: [],
  mean: ['over', 'groups?', 'of?'],
  resample: ['seed', 'of?'],
  patch: ['from', 'renormalise?'],
  set: ['value'],
  add: ['vector', 'factor?'],
  scale: ['factor'],
  projectOut: ['direction'],
  swapPositions: ['pairs'],
  editPattern: ['entries', 'renormalise?'],
  freeze: ['of?'],
  lowRank: ['p', 'a', 'b?'],
};

export const INTERVENTION_KINDS = Object.keys(FIELDS) as InterventionKind[];

type Json = Readonly<Record<string, unknown>>;
/** What is wrong with a value, or null. */
type Check = (value: unknown) => string | null;

function isRecord(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const finite: Check = (value) => (Number.isFinite(value) ? null : 'must be a finite number');
const whole: Check = (value) => (Number.isSafeInteger(value) ? null : 'must be a whole number');
const text: Check = (value) => (typeof value === 'string' && value !== '' ? null : 'must be a text');
const flag: Check = (value) => (typeof value === 'boolean' ? null : 'must be true or false');
const seed: Check = (value) =>
  Number.isSafeInteger(value) && Number(value) >= 0 ? null : 'must be a whole number from 0';

function listOf(entry: Check, what: string, least = 1): Check {
  return (value) => {
    if (!Array.isArray(value)) return `must be a list of ${what}`;
    if (value.length < least) return 'must not be empty';
    for (const [index, item] of value.entries()) {
      const problem = entry(item);
      if (problem !== null) return `must be a list of ${what}: entry ${index} ${problem}`;
    }
    return null;
  };
}

function oneOf(...words: readonly string[]): Check {
  return (value) => (words.some((word) => word === value) ? null : `must be one of ${words.join(', ')}`);
}

function either(a: Check, b: Check, what: string): Check {
  return (value) => (a(value) === null ? null : Array.isArray(value) ? b(value) : `must be ${what}`);
}

/** An object with exactly these fields; a question mark says that a field may be left out. */
function record(fields: Readonly<Record<string, Check>>): Check {
  const names = Object.keys(fields).map((name) => name.replace('?', ''));
  return (value) => {
    if (!isRecord(value)) return `must be an object with ${names.join(', ')}`;
    for (const name of Object.keys(value)) {
      if (names.includes(name)) continue;
      const near = nearestWord(name, names);
      return `"${name}" is not a field; ${near === null ? `there are ${names.join(', ')}` : `did you mean "${near}"?`}`;
    }
    for (const [field, check] of Object.entries(fields)) {
      const name = field.replace('?', '');
      if (value[name] === undefined) {
        if (field.endsWith('?')) continue;
        return `"${name}" is missing`;
      }
      const problem = check(value[name]);
      if (problem !== null) return problem.startsWith('"') ? `${problem} (in "${name}")` : `"${name}" ${problem}`;
    }
    return null;
  };
}

const integers = listOf(whole, 'whole numbers');
const numbers = listOf(finite, 'numbers');
const matrix = listOf(numbers, 'rows of numbers');

const site = record({
  hook: text,
  'layers?': integers,
  'heads?': integers,
  'neurons?': integers,
  'positions?': integers,
  'items?': integers,
});

const pair: Check = (value) =>
  Array.isArray(value) && value.length === 2 && value.every(Number.isSafeInteger) ? null : 'must be two positions';

const CHECKS: Readonly<Record<string, Check>> = {
  over: oneOf('batch', 'group', 'position', 'all'),
  groups: integers,
  of: text,
  seed,
  from: record({ run: text, 'items?': integers, 'positions?': integers }),
  value: either(finite, numbers, 'a number or a list of numbers'),
  vector: numbers,
  factor: finite,
  direction: numbers,
  pairs: listOf(pair, 'pairs of positions'),
  entries: listOf(record({ query: whole, key: whole, value: finite }), 'entries'),
  renormalise: flag,
  p: either(finite, matrix, 'a number or a matrix'),
  a: record({ left: matrix, right: matrix }),
  b: numbers,
};

/**
 * Reads one intervention from data: names and types of its fields, nothing that depends on a model.
 * @returns the intervention, or what is wrong with it in words
 */
export function readIntervention(value: unknown): Intervention | string {
  if (!isRecord(value)) return 'An intervention is an object with "kind" and "at".';
  const kind = INTERVENTION_KINDS.find((known) => known === value.kind);
  if (kind === undefined) {
    const near = typeof value.kind === 'string' ? nearestWord(value.kind, INTERVENTION_KINDS) : null;
    return `There is no kind of intervention ${JSON.stringify(value.kind)}. ${near === null ? `Kinds are ${INTERVENTION_KINDS.join(', ')}.` : `Did you mean "${near}"?`}`;
  }
  const fields = Object.fromEntries(FIELDS[kind].map((field) => [field, CHECKS[field.replace('?', '')]]));
  const problem = record({ kind: text, at: site, ...fields })(value);
  if (problem !== null) return `In an intervention "${kind}", ${problem.replace(/[?.]?$/, (end) => end || '.')}`;
  return value as unknown as Intervention;
}
