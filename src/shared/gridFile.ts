import type { GridDocument } from './gridDocument.ts';
import { isNumber, isObject, parseResult, refuseResult as refuse, resultToJson, toNumber } from './resultJson.ts';

/** How saved results end. */
export const resultEnding = '.mechanist.json';

/** A result as the text of a file. */
export function gridToJson(document: GridDocument): string {
  return resultToJson(document);
}

function labels(axes: unknown, side: 'rows' | 'columns'): readonly string[] {
  const axis = isObject(axes) ? axes[side] : undefined;
  const found = isObject(axis) && typeof axis.name === 'string' ? axis.labels : undefined;
  if (!Array.isArray(found) || !found.every((label) => typeof label === 'string')) refuse(`axes.${side} has no labels`);
  return found;
}

function table<T>(
  value: unknown,
  name: string,
  rows: number,
  columns: number,
  read: (cell: unknown) => T | null,
): T[][] {
  if (!Array.isArray(value) || value.length !== rows) refuse(`${name} has not ${rows} rows, as its axes have`);
  return value.map((row: unknown, r) => {
    if (!Array.isArray(row) || row.length !== columns) refuse(`row ${r + 1} of ${name} has not ${columns} columns`);
    return row.map(
      (cell: unknown, c) => read(cell) ?? refuse(`${name} has no number in row ${r + 1}, column ${c + 1}`),
    );
  });
}

function summary(value: unknown, name: string, n: number): GridDocument['clean'] {
  if (!isObject(value) || !isNumber(value.mean)) refuse(`${name} has no mean`);
  const { byItem } = value;
  if (!Array.isArray(byItem) || byItem.length !== n || !byItem.every(isNumber)) {
    refuse(`${name} has not one number for each of ${n} prompts`);
  }
  return { ...(value as unknown as GridDocument['clean']), mean: toNumber(value.mean), byItem: byItem.map(toNumber) };
}

function packed(value: unknown, length: number): Float32Array {
  const data = isObject(value) ? value.data : undefined;
  if (!Array.isArray(data) || data.length !== length)
    refuse(`byItem has not ${length} numbers, as its axes and prompts have`);
  return Float32Array.from(data, (entry: unknown) => (isNumber(entry) ? toNumber(entry) : Number.NaN));
}

/** Parts that are shown as they are: only that they are there is checked. */
function checkParts(value: Readonly<Record<string, unknown>>): void {
  for (const name of ['provenance', 'request', 'metric', 'cost'] as const) {
    if (!isObject(value[name])) refuse(`${name} is missing`);
  }
  const items: unknown = value.items;
  const good = (item: unknown): boolean =>
    isObject(item) && typeof item.prompt === 'string' && Array.isArray(item.tokens) && Array.isArray(item.foils);
  if (!Array.isArray(items) || !items.every(good)) refuse('items is not the list of its prompts');
}

/**
 * Reads what `gridToJson` has written.
 * @throws MechanistError `bad-input`: not JSON, no grid, a newer schema, or parts that do not fit together; says which
 */
export function gridFromJson(text: string): GridDocument {
  const value = parseResult(text);
  if (value.kind !== 'grid') refuse(`its kind is ${JSON.stringify(value.kind)}, and only "grid" can be compared here`);
  return gridFromValue(value);
}

/** The same from the file's parsed object. */
export function gridFromValue(value: Readonly<Record<string, unknown>>): GridDocument {
  checkParts(value);
  const rows = labels(value.axes, 'rows').length;
  const columns = labels(value.axes, 'columns').length;
  const n = (value.items as readonly unknown[]).length;
  const missing = Symbol('not run');
  const values = table(value.values, 'values', rows, columns, (cell) =>
    cell === null ? missing : isNumber(cell) ? toNumber(cell) : null,
  ).map((row) => row.map((cell) => (typeof cell === 'symbol' ? null : cell)));
  const exact = table(value.exact, 'exact', rows, columns, (cell) => (typeof cell === 'boolean' ? cell : null));
  const corrupted = value.corrupted === null || value.corrupted === undefined ? null : value.corrupted;
  return {
    ...(value as unknown as GridDocument),
    warnings: Array.isArray(value.warnings) ? value.warnings.map(String) : [],
    complete: values.every((row) => row.every((cell) => cell !== null)),
    clean: summary(value.clean, 'clean', n),
    corrupted: corrupted === null ? null : summary(corrupted, 'corrupted', n),
    values,
    exact,
    byItem: { dims: [rows, columns, n], data: packed(value.byItem, rows * columns * n) },
  };
}
