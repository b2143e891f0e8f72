import { isMap, isScalar, isSeq, type Node } from 'yaml';
import type { Expectation } from './experimentTypes.ts';
import { scalarText, type TextRange, type YamlReader } from './experimentYaml.ts';

const keys = ['step', 'value', 'equals', 'tolerance', 'low', 'high', 'from', 'model', 'note'] as const;

/** `-6.8`, `−6.8`, `+.5`, `1e-3` */
const number = String.raw`[+−-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+−-]?\d+)?`;
const rangeForms = {
  about: new RegExp(`^(${number})\\s*(?:±|\\+/-|\\+-)\\s*(${number})$`),
  between: new RegExp(`^(${number})\\s*(?:…|\\.{2,3}|to)\\s*(${number})$`),
  bound: new RegExp(`^(≥|>=|>|≤|<=|<)\\s*(${number})$`),
  bare: new RegExp(`^(${number})$`),
};

const toNumber = (text: string): number => Number(text.replaceAll('−', '-'));

/** Half a unit of the last digit that was written: `-6.8` means −6.85 to −6.75. */
function lastDigit(text: string): number {
  const [mantissa = '', exponent = '0'] = text.toLowerCase().replaceAll('−', '-').split('e');
  const decimals = mantissa.split('.')[1]?.length ?? 0;
  return 0.5 * 10 ** (Number(exponent) - decimals);
}

interface Bounds {
  readonly low: number | null;
  readonly high: number | null;
}

/**
 * Reads `-6.8 ± 0.5`, `-7.1 … -6.2`, `≥ 2`, `-6.8` (half a unit of its last digit either way), each perhaps followed by
 * its source in parentheses. Null: nothing of the kind.
 */
export function readRange(text: string): (Bounds & { readonly source: string }) | null {
  const match = /^(.*?)\s*(?:\((.*)\))?$/s.exec(text.trim());
  const [range, source] = [match?.[1] ?? '', match?.[2]?.trim() ?? ''];
  const about = rangeForms.about.exec(range);
  if (about) {
    const [value, tolerance] = [toNumber(about[1]), Math.abs(toNumber(about[2]))];
    return { low: value - tolerance, high: value + tolerance, source };
  }
  const between = rangeForms.between.exec(range);
  if (between) return { low: toNumber(between[1]), high: toNumber(between[2]), source };
  const bound = rangeForms.bound.exec(range);
  if (bound) {
    const limit = toNumber(bound[2]);
    return bound[1] === '≥' || bound[1].startsWith('>')
      ? { low: limit, high: null, source }
      : { low: null, high: limit, source };
  }
  const bare = rangeForms.bare.exec(range);
  if (!bare) return null;
  const value = toNumber(bare[1]);
  const tolerance = lastDigit(bare[1]);
  return { low: value - tolerance, high: value + tolerance, source };
}

const forms = 'Write −6.8 ± 0.5, −7.1 … −6.2, ≥ 2 or ≤ 2, with the source in parentheses behind it if there is one.';

class ExpectReader {
  constructor(
    readonly reader: YamlReader,
    readonly found: Expectation[],
  ) {}

  refuse(range: TextRange, message: string): void {
    this.reader.report(range, 'bad-expectation', message);
  }

  add(range: TextRange, named: { step: string; value: string }, bounds: Bounds, rest: Partial<Expectation>): void {
    const { low, high } = bounds;
    if (low !== null && high !== null && low > high) {
      this.refuse(range, `The range is empty: ${low} is more than ${high}. Write the smaller number first.`);
      return;
    }
    this.found.push({ source: '', ...rest, ...named, low, high, ...range });
  }

  /** `residual L3.8.11: -6.8 ± 0.5` */
  readShort(name: string, key: Node | null, value: Node | null): void {
    const range = { start: this.reader.rangeOf(key).start, end: this.reader.rangeOf(value, key).end };
    const [, step, of] = /^(\S+)\s+(\S.*)$/.exec(name.trim()) ?? [];
    if (step === undefined || of === undefined) {
      this.refuse(this.reader.rangeOf(key), 'Name the step and its value, as residual L3.8.11: −6.8 ± 0.5.');
      return;
    }
    const read = isScalar(value) ? readRange(scalarText(value)) : null;
    if (read === null) this.refuse(this.reader.rangeOf(value, key), `This is no expected number. ${forms}`);
    else this.add(range, { step, value: of }, read, { source: read.source });
  }

  /** `{ step, value, equals, tolerance }` or `{ step, value, low, high }`, with `from`, `model`, `note` */
  readLong(item: Node): void {
    const { reader } = this;
    const range = reader.rangeOf(item);
    const fields = new Map(reader.pairsOf(item).map((pair) => [pair.name, pair]));
    for (const { name, key } of fields.values()) {
      if (!keys.some((known) => known === name)) reader.reportUnknownKey(key, name, keys, 'an expectation');
    }
    let wrong = false;
    const text = (name: (typeof keys)[number]) => reader.textOf(fields.get(name)?.value ?? null);
    const numberOf = (name: (typeof keys)[number]): number | null => {
      const field = fields.get(name);
      if (field === undefined) return null;
      const value = text(name);
      if (value !== undefined && rangeForms.bare.test(value)) return toNumber(value);
      wrong = true;
      this.refuse(reader.rangeOf(field.value, field.key), `${name} is a number.`);
      return null;
    };
    const [step, value] = [text('step'), text('value')];
    const [equals, tolerance, low, high] = [
      numberOf('equals'),
      numberOf('tolerance'),
      numberOf('low'),
      numberOf('high'),
    ];
    if (wrong) return;
    if (step === undefined || value === undefined) {
      this.refuse(range, 'An expectation names a step and one of its values: { step: residual, value: L3.8.11, … }.');
      return;
    }
    const bounds = this.#boundsOf({ equals, tolerance, low, high }, text('equals') ?? '');
    if (bounds === null) {
      this.refuse(range, 'An expectation has equals (and tolerance), or low and high, or one of them.');
      return;
    }
    const [model, note] = [text('model'), text('note')];
    this.add(range, { step, value }, bounds, {
      source: text('from') ?? '',
      ...(model && { model }),
      ...(note && { note }),
    });
  }

  #boundsOf(given: { equals: number | null; tolerance: number | null } & Bounds, written: string): Bounds | null {
    const { equals, tolerance, low, high } = given;
    if (equals === null) return tolerance === null && (low !== null || high !== null) ? { low, high } : null;
    if (low !== null || high !== null) return null;
    const either = tolerance === null ? lastDigit(written) : Math.abs(tolerance);
    return { low: equals - either, high: equals + either };
  }

  readItem(item: Node | null): void {
    const pairs = this.reader.pairsOf(item);
    const [only] = pairs;
    if (item !== null && pairs.some(({ name }) => keys.some((known) => known === name))) this.readLong(item);
    else if (only !== undefined) for (const { name, key, value } of pairs) this.readShort(name, key, value);
    else this.refuse(this.reader.rangeOf(item), `An expectation is a line as residual L3.8.11: −6.8 ± 0.5. ${forms}`);
  }
}

/** Reads `expect:`: a list of lines, or a map of them. */
export function readExpectations(reader: YamlReader, node: Node | null, key: Node | null): readonly Expectation[] {
  const found: Expectation[] = [];
  const own = new ExpectReader(reader, found);
  if (isSeq(node)) for (const item of reader.itemsOf(node)) own.readItem(item);
  else if (isMap(node)) for (const pair of reader.pairsOf(node)) own.readShort(pair.name, pair.key, pair.value);
  else own.refuse(reader.rangeOf(node, key), 'expect is a list of lines as - residual L3.8.11: −6.8 ± 0.5.');
  return found;
}
