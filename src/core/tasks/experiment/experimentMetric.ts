import { isMap, isScalar, type Node } from 'yaml';
import {
  type FoilForm,
  type MetricKind,
  type MetricSpec,
  metricKinds,
  type Normalization,
} from '../../../shared/metric.ts';
import { nearestWord } from '../nearestWord.ts';
import type { YamlReader } from './experimentYaml.ts';

const metricKeys = ['kind', 'foil', 'normalize'] as const;
const foilForms: readonly FoilForm[] = ['one', 'mean', 'max'];
const normalizations: readonly Normalization[] = ['denoising', 'noising'];

/** One of a few words, or undefined with the nearest one reported. */
function readWord<T extends string>(
  reader: YamlReader,
  name: string,
  node: Node | null,
  key: Node | null,
  words: readonly T[],
): T | undefined {
  const text = reader.textOf(node);
  const found = words.find((word) => word === text);
  if (found !== undefined) return found;
  const near = text === undefined ? null : nearestWord(text, words);
  const fix = near ? { title: `Use ${near}`, newText: near } : undefined;
  reader.report(reader.rangeOf(node, key), 'unknown-metric', `${name} is one of ${words.join(', ')}.`, fix);
  return undefined;
}

function specOf(kind: MetricKind, foil: FoilForm | undefined, normalize: Normalization | undefined): MetricSpec {
  const more = normalize === undefined ? {} : { normalize };
  return kind === 'logit-difference' ? { kind, foil: foil ?? 'max', ...more } : { kind, ...more };
}

/** Reads `metric:`: a kind, or `{ kind, foil, normalize }`. The foils of a logit difference are put together by `max` unless it says. */
export function readMetric(reader: YamlReader, node: Node | null, key: Node | null): MetricSpec | undefined {
  if (isScalar(node)) {
    const kind = readWord(reader, 'metric', node, key, metricKinds);
    return kind && specOf(kind, undefined, undefined);
  }
  if (!isMap(node)) {
    reader.report(
      reader.rangeOf(node, key),
      'wrong-type',
      'metric is a kind, as log-prob, or { kind: logit-difference, foil: max }.',
    );
    return undefined;
  }
  const fields = new Map(reader.pairsOf(node).map((pair) => [pair.name, pair]));
  for (const { name, key: own } of fields.values()) {
    if (!metricKeys.some((known) => known === name)) reader.reportUnknownKey(own, name, metricKeys, 'metric');
  }
  const word = <T extends string>(name: string, words: readonly T[]): T | undefined => {
    const field = fields.get(name);
    return field && readWord(reader, name, field.value, field.key, words);
  };
  const kind = fields.has('kind') ? word('kind', metricKinds) : readWord(reader, 'kind', null, key, metricKinds);
  const foil = word('foil', foilForms);
  const normalize = word('normalize', normalizations);
  if (kind === undefined) return undefined;
  if (foil !== undefined && kind !== 'logit-difference') {
    const at = fields.get('foil');
    reader.report(
      reader.rangeOf(at?.key ?? node),
      'unknown-key',
      'Only a logit difference has a foil.',
      undefined,
      'warning',
    );
  }
  return specOf(kind, foil, normalize);
}
