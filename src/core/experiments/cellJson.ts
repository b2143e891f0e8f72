/**
 * JSON that keeps what a cell leaves exactly: float64 as shortest decimals, typed arrays as lists, and NaN, infinities and
 * −0, which JSON lacks, as `{"#": "NaN"}`.
 */
const words: Readonly<Record<string, number>> = {
  NaN: Number.NaN,
  Infinity: Number.POSITIVE_INFINITY,
  '-Infinity': Number.NEGATIVE_INFINITY,
  '-0': -0,
};

function toJson(_key: string, value: unknown): unknown {
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) return [...(value as unknown as Iterable<number>)];
  if (typeof value !== 'number') return value;
  if (Object.is(value, -0)) return { '#': '-0' };
  return Number.isFinite(value) ? value : { '#': String(value) };
}

function fromJson(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !('#' in value)) return value;
  return words[String(value['#'])] ?? value;
}

export function writeCell(value: unknown): string {
  return JSON.stringify(value, toJson);
}

/** @throws SyntaxError */
export function readCell(text: string): unknown {
  return JSON.parse(text, fromJson);
}

/** Text that is the same for equal values, whatever the order of their keys. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, own: unknown) =>
    typeof own === 'object' && own !== null && !Array.isArray(own)
      ? Object.fromEntries(Object.entries(own).sort(([a], [b]) => (a < b ? -1 : 1)))
      : own,
  );
}
