import { isMap, isScalar, type Node } from 'yaml';
import type { ParamsSchema } from '../../experiments/stepKind.ts';
import type { NamedSpecs } from '../namedObservables.ts';
import { readWord } from './experimentObservables.ts';
import type { ExperimentFile, NamedObservable, ObservableRef } from './experimentTypes.ts';
import { scalarText, type YamlReader } from './experimentYaml.ts';
import { nodesOfFormat } from './nodesOfFormat.ts';

/** `format` of a parameter's JSON Schema that is an observable: a name, or tokens and weights. */
export const observableFormat = 'observable';

function readRef(reader: YamlReader, node: Node): ObservableRef[] {
  const range = reader.rangeOf(node);
  if (isScalar(node) && typeof node.value === 'string') return [{ name: scalarText(node), words: [], ...range }];
  if (!isMap(node)) return [];
  const words = reader.pairsOf(node).map(({ key, value }) => readWord(reader, key, value));
  return [{ name: null, words: words.filter((word) => word !== undefined), ...range }];
}

/** Observables that a step's parameters name. What is wrong in one that is written out is reported. */
export function observableRefs(reader: YamlReader, params: ParamsSchema, node: Node | null): readonly ObservableRef[] {
  return nodesOfFormat(reader, params, node, observableFormat).flatMap((own) => readRef(reader, own));
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
