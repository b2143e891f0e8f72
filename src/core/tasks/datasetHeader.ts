import type { DatasetHeader, SetRef, TokenRef } from '../../shared/dataset.ts';
import { readCorruptions, writtenCorruption } from './corruptionSpec.ts';
import { isRecord, type Report, reportUnknownKeys } from './datasetReport.ts';
import { isSetRef, readTokens } from './tokenRefs.ts';

const headerKeys = ['name', 'model', 'seed', 'sets', 'roles', 'corruptions', 'made'] as const;

/** Whether a line parsed from JSON is a header rather than a row. */
export function isHeader(value: unknown): value is { readonly dataset: unknown } {
  return isRecord(value) && value.dataset !== undefined;
}

function readText(value: unknown, key: string, report: Report): string | undefined | null {
  if (value === undefined || (typeof value === 'string' && value !== '')) return value;
  report(['dataset', key], 'wrong-type', `${key} is a text in quotes.`);
  return null;
}

function readSeed(value: unknown, report: Report): number | undefined | null {
  if (value === undefined || (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0)) return value;
  report(['dataset', 'seed'], 'wrong-type', 'A seed is a whole number from 0.');
  return null;
}

function readSets(value: unknown, report: Report): Record<string, readonly TokenRef[]> | null {
  if (value === undefined) return {};
  const setHelp = 'sets maps names to lists of tokens: {"caps": ["A", "B"]}.';
  if (!isRecord(value)) {
    report(['dataset', 'sets'], 'wrong-type', setHelp);
    return null;
  }
  const sets = Object.entries(value).map(([name, tokens]) => {
    const path = ['dataset', 'sets', name];
    if (name === 'others')
      report(path, 'duplicate-name', '@others are the answers of the other rows: name this set otherwise.');
    return [name, name === 'others' ? null : readTokens(tokens, path, setHelp, report)] as const;
  });
  return sets.some(([, tokens]) => tokens === null)
    ? null
    : (Object.fromEntries(sets) as Record<string, readonly TokenRef[]>);
}

function readRoleSets(value: unknown, report: Report): Record<string, SetRef> | null {
  if (value === undefined) return {};
  if (isRecord(value) && Object.values(value).every(isSetRef)) return value as Record<string, SetRef>;
  report(['dataset', 'roles'], 'wrong-type', 'roles maps a role to the set its tokens belong to: {"S1": "@names"}.');
  return null;
}

/**
 * Checks the shape of a header line that was parsed from JSON. Null when something is wrong, with at least one error
 * reported; never throws.
 */
export function readHeader(value: { readonly dataset: unknown }, line: number, report: Report): DatasetHeader | null {
  const { dataset } = value;
  if (!isRecord(dataset)) {
    report(
      ['dataset'],
      'wrong-type',
      'The header is {"dataset": {"name": …, "sets": …, "corruptions": …, "seed": 0}}.',
    );
    return null;
  }
  reportUnknownKeys({ ...value }, ['dataset'], [], report);
  reportUnknownKeys(dataset, headerKeys, ['dataset'], report);
  const name = readText(dataset.name, 'name', report);
  const model = readText(dataset.model, 'model', report);
  const seed = readSeed(dataset.seed, report);
  const sets = readSets(dataset.sets, report);
  const roles = readRoleSets(dataset.roles, report);
  const corruptions =
    dataset.corruptions === undefined ? {} : readCorruptions(dataset.corruptions, ['dataset', 'corruptions'], report);
  const made = isRecord(dataset.made) ? dataset.made : undefined;
  if (name === null || model === null || seed === null || !sets || !roles || !corruptions) return null;
  return {
    line,
    ...(name !== undefined && { name }),
    ...(model !== undefined && { model }),
    ...(seed !== undefined && { seed }),
    sets,
    roles,
    corruptions,
    ...(made !== undefined && { made }),
  };
}

/** A header as a line of JSON with its line break; reads back equal. */
export function headerLine(header: Omit<DatasetHeader, 'line'>): string {
  const { name, model, seed, sets, roles, made } = header;
  const corruptions = Object.fromEntries(
    Object.entries(header.corruptions).map(([key, corruption]) => [key, writtenCorruption(corruption)]),
  );
  return `${JSON.stringify({ dataset: { name, model, seed, sets, roles, corruptions, made } })}\n`;
}
