import { isMap, isScalar, type Node } from 'yaml';
import type { ObservableSpec } from '../../../shared/engineProtocol.ts';
import { observableName } from '../namedObservables.ts';
import type { NamedObservable, WeightedWord } from './experimentTypes.ts';
import { scalarText, type YamlReader } from './experimentYaml.ts';

/** One token and its weight; undefined, and reported, where they are wrong. */
export function readWord(reader: YamlReader, key: Node | null, value: Node | null): WeightedWord | undefined {
  const text = isScalar(key) ? scalarText(key) : '';
  if (text === '') {
    reader.report(reader.rangeOf(key), 'wrong-type', 'Each key of an observable is the text of one token, as " she".');
    return undefined;
  }
  const weight = isScalar(value) ? value.value : undefined;
  if (typeof weight !== 'number' || !Number.isFinite(weight) || weight === 0) {
    const message = `The weight of ${JSON.stringify(text)} is a number other than 0, as 1 or -1.`;
    reader.report(reader.rangeOf(value, key), 'bad-observable', message);
    return undefined;
  }
  return { value: text, weight, ...reader.rangeOf(key) };
}

function readOne(reader: YamlReader, name: string, key: Node | null, value: Node | null): NamedObservable | undefined {
  if (!observableName.test(name)) {
    const message = 'The name of an observable begins with a letter, then letters, digits and . _ + -, at most 80.';
    reader.report(reader.rangeOf(key), 'bad-observable', message);
    return undefined;
  }
  if (!isMap(value) || value.items.length === 0) {
    const message = `${name} maps tokens to weights: { " she": 1, " he": -1 }.`;
    reader.report(reader.rangeOf(value, key), 'bad-observable', message);
    return undefined;
  }
  const words = reader.pairsOf(value).map((pair) => readWord(reader, pair.key, pair.value));
  const good = words.filter((word) => word !== undefined);
  if (good.length < words.length) return undefined;
  const spec = Object.fromEntries(good.map((word) => [word.value, word.weight]));
  return { name, spec, words: good, ...reader.rangeOf(key) };
}

/** Reads `observables:`, a map of names to tokens and their weights. Those that are wrong are reported and left out. */
export function readObservables(reader: YamlReader, node: Node | null, key: Node | null): readonly NamedObservable[] {
  if (!isMap(node)) {
    const message = 'observables maps names to tokens and their weights, as gender: { " she": 1, " he": -1 }.';
    reader.report(reader.rangeOf(node, key), 'wrong-type', message);
    return [];
  }
  const found = reader.pairsOf(node).map((pair) => readOne(reader, pair.name, pair.key, pair.value));
  return found.filter((observable) => observable !== undefined);
}

/** The observables of `named` that a step's parameters mention by name. */
export function observablesIn(
  texts: readonly string[],
  named: Readonly<Record<string, ObservableSpec>>,
): Readonly<Record<string, ObservableSpec>> {
  const names = [...new Set(texts)].filter((text) => Object.hasOwn(named, text)).sort();
  return Object.fromEntries(names.map((name) => [name, named[name]]));
}
