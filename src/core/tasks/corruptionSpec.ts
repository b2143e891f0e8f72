import type { Collisions, Corruption, CorruptionStep } from '../../shared/dataset.ts';
import type { JsonPath } from './datasetJson.ts';
import { isRecord, type Report, reportUnknownKeys } from './datasetReport.ts';
import { isSetRef, readTokens } from './tokenRefs.ts';

const operators = ['permute', 'replace', 'copy'] as const;
const collisionWords: readonly Collisions[] = ['allow', 'avoid', 'exclude'];

const help =
  'A corruption is a text, or a step as {"permute": ["S2"]}, {"replace": ["S2"], "from": "@names"} or {"copy": {"S2": "IO"}}, or a list of steps.';

/** A role or several; null with the reason reported. */
function readRoleNames(value: unknown, path: JsonPath, report: Report): readonly string[] | null {
  const names: unknown[] = Array.isArray(value) ? value : [value];
  const wrong = names.findIndex((name) => typeof name !== 'string' || name === '' || name === '<');
  if (wrong < 0) return names as string[];
  const message = 'This is the name of a role, as "S2" or ["C3", "T3"]; in permute also "<C3" (all before it) and "*".';
  report(Array.isArray(value) ? [...path, wrong] : path, 'wrong-type', message);
  return null;
}

function readPermute(value: Record<string, unknown>, path: JsonPath, report: Report): CorruptionStep | null {
  reportUnknownKeys(value, ['permute', 'collisions'], path, report);
  const permute = readRoleNames(value.permute, [...path, 'permute'], report);
  const collisions = collisionWords.find((word) => word === value.collisions);
  if (value.collisions !== undefined && collisions === undefined) {
    report([...path, 'collisions'], 'wrong-type', `collisions is one of ${collisionWords.join(', ')}.`);
    return null;
  }
  return permute && { permute, ...(collisions !== undefined && { collisions }) };
}

function readReplace(value: Record<string, unknown>, path: JsonPath, report: Report): CorruptionStep | null {
  reportUnknownKeys(value, ['replace', 'from', 'distinct'], path, report);
  const replace = readRoleNames(value.replace, [...path, 'replace'], report);
  const { from, distinct } = value;
  const fromHelp = 'from is a set of the header, "@names", or a list of tokens.';
  const tokens = isSetRef(from)
    ? from
    : readTokens(from, [...path, from === undefined ? 'replace' : 'from'], fromHelp, report);
  if (distinct !== undefined && typeof distinct !== 'boolean') {
    report([...path, 'distinct'], 'wrong-type', 'distinct is true or false.');
    return null;
  }
  if (replace === null || tokens === null) return null;
  return { replace, from: tokens, ...(distinct !== undefined && { distinct }) };
}

function readCopy(value: Record<string, unknown>, path: JsonPath, report: Report): CorruptionStep | null {
  reportUnknownKeys(value, ['copy'], path, report);
  const { copy } = value;
  if (isRecord(copy) && Object.values(copy).every((role) => typeof role === 'string' && role !== '')) {
    return { copy: copy as Record<string, string> };
  }
  report([...path, 'copy'], 'wrong-type', 'copy maps a role to the role it is given the tokens of: {"S2": "IO"}.');
  return null;
}

function readStep(value: unknown, path: JsonPath, report: Report): CorruptionStep | null {
  if (isRecord(value)) {
    if (value.permute !== undefined) return readPermute(value, path, report);
    if (value.replace !== undefined) return readReplace(value, path, report);
    if (value.copy !== undefined) return readCopy(value, path, report);
    reportUnknownKeys(value, operators, path, report);
  }
  report(path, 'wrong-type', help);
  return null;
}

function readCorruption(value: unknown, path: JsonPath, report: Report): Corruption | null {
  if (typeof value === 'string') {
    if (value !== '') return [{ text: value }];
    report(path, 'prompt-empty', 'This corrupted prompt is empty.');
    return null;
  }
  const steps = Array.isArray(value)
    ? value.map((step: unknown, i) => readStep(step, [...path, i], report))
    : [readStep(value, path, report)];
  const known = steps.filter((step) => step !== null);
  return known.length === steps.length ? known : null;
}

/** Corruptions by name, of the header or of a row. Null when one is wrong, with the reason reported at it; never throws. */
export function readCorruptions(value: unknown, path: JsonPath, report: Report): Record<string, Corruption> | null {
  if (!isRecord(value)) {
    report(path, 'wrong-type', `Corruptions have names: {"cur:L3": {"permute": ["C3", "T3"]}}. ${help}`);
    return null;
  }
  const found = Object.entries(value).map(
    ([name, one]) => [name, readCorruption(one, [...path, name], report)] as const,
  );
  if (found.some(([, corruption]) => corruption === null)) return null;
  return Object.fromEntries(found) as Record<string, Corruption>;
}

/** As it is written in a file: `readCorruptions` reads it back equal. */
export function writtenCorruption(corruption: Corruption): unknown {
  const steps = corruption.map((step) => ('text' in step ? step.text : step));
  return steps.length === 1 ? steps[0] : steps;
}
