import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import type { Node } from 'yaml';
import type { MetricSpec } from '../../../shared/metric.ts';
import { nearestWord } from '../nearestWord.ts';
import { readMetric } from './experimentMetric.ts';
import type { StepVocabulary } from './experimentTypes.ts';
import type { YamlReader } from './experimentYaml.ts';

const pathOf = (instancePath: string): string[] =>
  instancePath
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));

const typeNames: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  integer: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a map of keys and values',
  null: 'null',
};

/** A text, or one of several types, in words. */
function typesInWords(type: unknown): string {
  const types = (Array.isArray(type) ? type : [type]).map((name) => typeNames[String(name)] ?? String(name));
  return types.join(' or ');
}

/** The errors that a person should see: of alternatives only what the chosen one lacks, or that none fits. */
function essential(errors: readonly ErrorObject[]): readonly ErrorObject[] {
  const choices = errors.filter(({ keyword }) => keyword === 'oneOf' || keyword === 'anyOf');
  return errors.filter((error) => {
    const around = choices.find((choice) => choice !== error && error.schemaPath.startsWith(`${choice.schemaPath}/`));
    if (around !== undefined) return deeper(errors, around).includes(error);
    return !(choices.includes(error) && deeper(errors, error).length > 0);
  });
}

/** Errors inside an alternative whose constants (`kind: mean`) the value has: that alternative was meant. */
function deeper(errors: readonly ErrorObject[], choice: ErrorObject): readonly ErrorObject[] {
  const inside = errors.filter((error) => error.schemaPath.startsWith(`${choice.schemaPath}/`));
  const branchOf = (error: ErrorObject) => error.schemaPath.slice(choice.schemaPath.length + 1).split('/')[0];
  const branches = new Set(inside.map(branchOf));
  const meant = [...branches].filter((branch) => {
    const own = inside.filter((error) => branchOf(error) === branch);
    const fits = own.every(
      ({ keyword, instancePath }) =>
        keyword !== 'const' && !(['type', 'enum'].includes(keyword) && instancePath === choice.instancePath),
    );
    return fits;
  });
  return meant.length === 1 ? inside.filter((error) => branchOf(error) === meant[0]) : [];
}

function describe(error: ErrorObject, name: string): string {
  const { keyword, params, message, parentSchema } = error;
  const about = typeof parentSchema?.description === 'string' ? ` ${parentSchema.description}` : '';
  if (keyword === 'type') return `${name} is ${typesInWords(params.type)}.${about}`;
  if (keyword === 'enum') return `${name} is one of ${(params.allowedValues as readonly unknown[]).join(', ')}.`;
  if (keyword === 'oneOf' || keyword === 'anyOf') return `${name} has none of the forms it may have.${about}`;
  return `${name} ${message ?? 'is wrong'}.${about}`;
}

/** The metric that a step names itself, as a kind or in full; what is wrong with it is reported. */
function metricOf(reader: YamlReader, params: Node | null): MetricSpec | undefined {
  const own = reader.pairsOf(params).find(({ name }) => name === 'metric');
  return own && readMetric(reader, own.value, own.key);
}

/** Holds the parameters of steps to the schemas of their kinds. Schemas are compiled when they are first needed. */
export class ParamsChecker {
  readonly #ajv = new Ajv({ allErrors: true, useDefaults: true, strict: false, validateFormats: false, verbose: true });
  readonly #compiled = new Map<string, ValidateFunction>();

  /**
   * The parameters with the kind's defaults filled in, and the experiment's metric where the kind has one and the step
   * names none. What is wrong is reported at the word.
   * @param node the value of `with`; null where there is none
   * @param otherwise underlined where there is no `with`: the step's kind
   */
  check(
    reader: YamlReader,
    kind: StepVocabulary,
    node: Node | null,
    otherwise: Node | null,
    metric: MetricSpec,
  ): Readonly<Record<string, unknown>> {
    const value = node === null ? {} : reader.valueOf(node);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      reader.report(
        reader.rangeOf(node, otherwise),
        'wrong-type',
        `with holds the parameters of ${kind.name} by name.`,
      );
      return {};
    }
    const params = structuredClone(value) as Record<string, unknown>;
    if ('metric' in kind.params.properties) params.metric = metricOf(reader, node) ?? metric;
    const valid = this.#validator(kind);
    if (!valid(params))
      for (const error of essential(valid.errors ?? [])) this.#report(reader, kind, error, node, otherwise);
    return params;
  }

  #validator(kind: StepVocabulary): ValidateFunction {
    const known = this.#compiled.get(kind.name);
    if (known !== undefined) return known;
    const compiled = this.#ajv.compile(kind.params);
    this.#compiled.set(kind.name, compiled);
    return compiled;
  }

  #report(
    reader: YamlReader,
    kind: StepVocabulary,
    error: ErrorObject,
    root: Node | null,
    otherwise: Node | null,
  ): void {
    const path = pathOf(error.instancePath);
    const { node, key } = reader.nodeAt(root, path);
    if (error.keyword === 'additionalProperties') {
      const name = String(error.params.additionalProperty);
      const known = Object.keys((error.parentSchema?.properties as object | undefined) ?? {});
      const of = path.length === 0 ? kind.name : path.join('.');
      const wrong = reader.pairsOf(node).find((pair) => pair.name === name)?.key ?? null;
      reader.reportUnknownKey(wrong ?? otherwise, name, known, of);
      return;
    }
    const range = reader.rangeOf(node, key ?? otherwise);
    if (error.keyword === 'required') {
      const where = path.length === 0 ? kind.name : path.join('.');
      const missing = String(error.params.missingProperty);
      const about = (error.parentSchema?.properties as Record<string, { description?: string }> | undefined)?.[missing];
      const message = `${where} needs ${missing}.${about?.description ? ` ${about.description}` : ''}`;
      const at = key ?? otherwise;
      reader.report(at === null ? range : reader.rangeOf(at), 'missing-key', message);
      return;
    }
    const near =
      error.keyword === 'enum' && typeof error.data === 'string'
        ? nearestWord(error.data, (error.params.allowedValues as readonly unknown[]).map(String))
        : null;
    const fix = near ? { title: `Use ${near}`, newText: near } : undefined;
    reader.report(range, 'bad-parameter', describe(error, path.at(-1) ?? 'with'), fix);
  }
}
