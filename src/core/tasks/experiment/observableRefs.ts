import { isMap, isScalar, type Node } from 'yaml';
import type { ParamsSchema } from '../../experiments/stepKind.ts';
import type { NamedSpecs } from '../namedObservables.ts';
import { readWord } from './experimentObservables.ts';
import type { ExperimentFile, NamedObservable, ObservableRef } from './experimentTypes.ts';
import { scalarText, type YamlReader } from './experimentYaml.ts';

/** `format` of a parameter's JSON Schema that is an observable: a name, or tokens and weights. */
export const observableFormat = 'observable';

type Schema = Readonly<Record<string, unknown>>;

const isSchema = (value: unknown): value is Schema => typeof value === 'object' && value !== null;

function readRef(reader: YamlReader, node: Node): ObservableRef[] {
  const range = reader.rangeOf(node);
  if (isScalar(node) && typeof node.value === 'string') return [{ name: scalarText(node), words: [], ...range }];
  if (!isMap(node)) return [];
  const words = reader.pairsOf(node).map(({ key, value }) => readWord(reader, key, value));
  return [{ name: null, words: words.filter((word) => word !== undefined), ...range }];
}

/** Every observable below a parameter, found by the schema's `format`. What is wrong in one is reported. */
function refsBelow(reader: YamlReader, schema: unknown, node: Node | null): ObservableRef[] {
  if (!isSchema(schema) || node === null) return [];
  if (schema.format === observableFormat) return readRef(reader, node);
  const properties = isSchema(schema.properties) ? schema.properties : {};
  const others = isSchema(schema.additionalProperties) ? schema.additionalProperties : undefined;
  const alternatives = [schema.oneOf, schema.anyOf].filter(Array.isArray).flat();
  return [
    ...reader.pairsOf(node).flatMap(({ name, value }) => refsBelow(reader, properties[name] ?? others, value)),
    ...reader.itemsOf(node).flatMap((item) => refsBelow(reader, schema.items, item)),
    ...alternatives.flatMap((form) => refsBelow(reader, form, node)),
  ];
}

/** Observables that a step's parameters name. */
export function observableRefs(reader: YamlReader, params: ParamsSchema, node: Node | null): readonly ObservableRef[] {
  return refsBelow(reader, params, node);
}

/**
 * The file with the observables of the settings that its steps name and it does not give itself: its own go before them. They
 * are marked as shared, so that a result says where they are from.
 */
export function withSharedObservables(file: ExperimentFile, shared: NamedSpecs): ExperimentFile {
  const own = new Set(file.observables.map(({ name }) => name));
  const wanted = [...new Set(file.observableRefs.map(({ name }) => name))];
  const added = wanted.flatMap((name): NamedObservable[] => {
    if (name === null || own.has(name) || !Object.hasOwn(shared, name)) return [];
    return [{ name, spec: shared[name], words: [], start: 0, end: 0, shared: true }];
  });
  return added.length === 0 ? file : { ...file, observables: [...file.observables, ...added] };
}
