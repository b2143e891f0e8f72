import { isMap, isScalar, isSeq, type Node, parseDocument } from 'yaml';
import type { MetricSpec } from '../../../shared/metric.ts';
import type { Located } from '../frontMatter.ts';
import { nearestWord } from '../nearestWord.ts';
import { describeYamlError } from '../yamlErrors.ts';
import { readExpectations } from './experimentExpect.ts';
import { readMetric } from './experimentMetric.ts';
import { readObservables } from './experimentObservables.ts';
import { ParamsChecker } from './experimentParams.ts';
import type {
  Expectation,
  ExperimentData,
  ExperimentFile,
  ExperimentProblem,
  StepVocabulary,
} from './experimentTypes.ts';
import { YamlReader } from './experimentYaml.ts';
import { observableRefs } from './observableRefs.ts';
import { pathRefs } from './pathRefs.ts';

/** Keys of an experiment file, in the order in which they are offered. */
const experimentKeys = ['model', 'data', 'seed', 'metric', 'observables', 'steps', 'expect'] as const;
/** Keys of a step. */
const stepKeys = ['name', 'run', 'with'] as const;
const dataKeys = ['file', 'rows'] as const;

/** Anything longer is a file of another kind and would only stall the editor. UTF-16 code units. */
const longestFile = 512 * 1024;
/** How the metric is read where nobody says. */
const defaultMetric: MetricSpec = { kind: 'logit-difference', foil: 'max' };

/** A part of the name of a file on every system. */
const stepName = /^[A-Za-z0-9][\w.+-]{0,79}$/;

type Writable<T> = { -readonly [K in keyof T]: T[K] };
type Keys = ReadonlyMap<string, { readonly key: Node | null; readonly value: Node | null }>;

interface Reading {
  readonly reader: YamlReader;
  readonly kinds: readonly StepVocabulary[];
  readonly params: ParamsChecker;
  readonly result: Writable<Omit<ExperimentFile, 'problems'>>;
}

function readModel({ reader, result }: Reading, keys: Keys, root: Node): void {
  const found = keys.get('model');
  const text = reader.textOf(found?.value ?? null);
  if (found === undefined) {
    reader.report(
      firstWord(reader, root),
      'missing-key',
      'model is missing: the model that is taken apart, as model: smollm2-135m.',
    );
  } else if (text === undefined) {
    const message = 'model is the name of a model: a catalogue id such as smollm2-135m, a folder, or a .gguf file.';
    reader.report(reader.rangeOf(found.value, found.key), 'wrong-type', message);
  } else result.model = { value: text, ...reader.rangeOf(found.value) };
}

/** Where something that is missing from the file is underlined. */
function firstWord(reader: YamlReader, root: Node): { start: number; end: number } {
  const [first] = reader.pairsOf(root);
  return reader.rangeOf(first?.key ?? root);
}

function readRows(
  { reader }: Reading,
  field: { key: Node | null; value: Node | null } | undefined,
): number | undefined {
  if (field === undefined) return undefined;
  const rows = isScalar(field.value) ? field.value.value : undefined;
  if (typeof rows === 'number' && Number.isSafeInteger(rows) && rows > 0) return rows;
  reader.report(
    reader.rangeOf(field.value, field.key),
    'wrong-type',
    'rows is a whole number from 1: the first so many rows.',
  );
  return undefined;
}

function readData(reading: Reading, keys: Keys, root: Node): void {
  const { reader, result } = reading;
  const found = keys.get('data');
  if (found === undefined) {
    reader.report(firstWord(reader, root), 'missing-key', 'data is missing: the dataset, as data: acronyms.jsonl.');
    return;
  }
  const range = reader.rangeOf(found.value, found.key);
  const fields = new Map(reader.pairsOf(found.value).map((pair) => [pair.name, pair]));
  const at = isMap(found.value) ? (fields.get('file')?.value ?? null) : found.value;
  const file = reader.textOf(at);
  for (const { name, key } of fields.values()) {
    if (!dataKeys.some((known) => known === name)) reader.reportUnknownKey(key, name, dataKeys, 'data');
  }
  const rows = readRows(reading, fields.get('rows'));
  if (file === undefined) {
    reader.report(
      range,
      'wrong-type',
      'data is a dataset file, as acronyms.jsonl or { file: acronyms.jsonl, rows: 200 }.',
    );
    return;
  }
  const data: Located<ExperimentData> = { value: { file, ...(rows !== undefined && { rows }) }, ...reader.rangeOf(at) };
  result.data = data;
}

function readSeed({ reader, result }: Reading, keys: Keys): void {
  const found = keys.get('seed');
  if (found === undefined) return;
  const seed = isScalar(found.value) ? found.value.value : undefined;
  if (typeof seed === 'number' && Number.isSafeInteger(seed) && seed >= 0) result.seed = seed;
  else reader.report(reader.rangeOf(found.value, found.key), 'wrong-type', 'seed is a whole number from 0.');
}

function reportKind(
  { reader, kinds }: Reading,
  at: Node | null,
  otherwise: Node | null,
  text: string | undefined,
): void {
  const names = kinds.map(({ name }) => name);
  const near = text === undefined ? null : nearestWord(text, names);
  const said =
    text === undefined ? 'A step names its analysis, as run: patch-residual.' : `There is no analysis "${text}".`;
  const fix = near ? { title: `Use ${near}`, newText: near } : undefined;
  const hint = near ? ` Did you mean ${near}?` : ` Analyses: ${names.join(', ')}.`;
  reader.report(reader.rangeOf(at, otherwise), 'unknown-kind', said + hint, fix);
}

function readStep(reading: Reading, item: Node | null): void {
  const { reader, kinds, params, result } = reading;
  const fields: Keys = isMap(item)
    ? new Map(reader.pairsOf(item).map((pair) => [pair.name, pair]))
    : new Map([['run', { key: null, value: item }]]);
  for (const [name, { key }] of fields) {
    if (!stepKeys.some((known) => known === name)) reader.reportUnknownKey(key, name, stepKeys, 'a step');
  }
  const run = fields.get('run');
  const text = reader.textOf(run?.value ?? null);
  const kind = kinds.find(({ name }) => name === text);
  if (run === undefined || kind === undefined) {
    reportKind(reading, run?.value ?? item, run?.key ?? null, text);
    return;
  }
  const given = fields.get('with');
  const own = params.check(reader, kind, given?.value ?? null, run.value, result.metric);
  const written = given?.value ?? null;
  result.observableRefs = [...result.observableRefs, ...observableRefs(reader, kind.params, written)];
  result.pathRefs = [...result.pathRefs, ...pathRefs(reader, kind.params, written)];
  const named = fields.get('name');
  const name = named === undefined ? kind.name : reader.textOf(named.value);
  const place = named === undefined ? reader.rangeOf(run.value) : reader.rangeOf(named.value, named.key);
  if (name === undefined || !stepName.test(name)) {
    const message = 'The name of a step is the name of its files: letters, digits and . _ + -, at most 80.';
    reader.report(place, 'step-name', message);
    return;
  }
  if (result.steps.some((step) => step.name.toLowerCase() === name.toLowerCase())) {
    const message = `There is a step "${name}" already. Give each a name of its own: name: ${name}-2.`;
    reader.report(place, 'step-name', message);
    return;
  }
  result.steps = [...result.steps, { name, run: kind.name, params: own, ...reader.rangeOf(item) }];
}

function readSteps(reading: Reading, keys: Keys, root: Node): void {
  const { reader } = reading;
  const found = keys.get('steps');
  if (found === undefined) {
    reader.report(
      firstWord(reader, root),
      'missing-key',
      'steps is missing: a list of analyses, as - run: patch-residual.',
    );
  } else if (!isSeq(found.value) || found.value.items.length === 0) {
    const message = 'steps is a list of analyses, each as - run: patch-residual.';
    reader.report(reader.rangeOf(found.value, found.key), 'wrong-type', message);
  } else for (const item of reader.itemsOf(found.value)) readStep(reading, item);
}

/** Expectations of steps that are there; the others are reported. */
function checkSteps({ reader, result }: Reading, expect: readonly Expectation[]): readonly Expectation[] {
  const names = result.steps.map(({ name }) => name);
  return expect.filter((expectation) => {
    if (names.includes(expectation.step)) return true;
    const near = nearestWord(expectation.step, names);
    const hint = near ? ` Did you mean ${near}?` : ` Steps: ${names.join(', ')}.`;
    reader.report(expectation, 'unknown-step', `There is no step "${expectation.step}".${hint}`);
    return false;
  });
}

function readRoot(reading: Reading, root: Node | null): void {
  const { reader, result } = reading;
  if (!isMap(root)) {
    const message = 'An experiment is a map with model, data and steps: start with model: smollm2-135m.';
    reader.report(root === null ? reader.clamp(0, 1) : reader.rangeOf(root), 'wrong-type', message);
    return;
  }
  const pairs = reader.pairsOf(root);
  const keys: Keys = new Map(pairs.map((pair) => [pair.name, pair]));
  for (const { name, key } of pairs) {
    if (!experimentKeys.some((known) => known === name))
      reader.reportUnknownKey(key, name, experimentKeys, 'an experiment');
  }
  readModel(reading, keys, root);
  readData(reading, keys, root);
  readSeed(reading, keys);
  const metric = keys.get('metric');
  if (metric !== undefined) result.metric = readMetric(reader, metric.value, metric.key) ?? result.metric;
  const observables = keys.get('observables');
  if (observables !== undefined) result.observables = readObservables(reader, observables.value, observables.key);
  readSteps(reading, keys, root);
  const expect = keys.get('expect');
  if (expect !== undefined) result.expect = checkSteps(reading, readExpectations(reader, expect.value, expect.key));
}

/** Reads experiment files with the analyses that there are. */
export class ExperimentParser {
  readonly #kinds: readonly StepVocabulary[];
  readonly #params = new ParamsChecker();

  constructor(kinds: readonly StepVocabulary[]) {
    this.#kinds = kinds;
  }

  /** Wrong text gives problems at the word, with the nearest name there is; never throws. */
  parse(text: string): ExperimentFile {
    const empty = {
      seed: 0,
      metric: defaultMetric,
      observables: [],
      observableRefs: [],
      pathRefs: [],
      steps: [],
      expect: [],
    };
    if (text.length > longestFile) {
      const message = `An experiment file is at most 512 kB; this has ${Math.round(text.length / 1024)} kB.`;
      const problem: ExperimentProblem = { start: 0, end: 1, severity: 'error', code: 'file-too-long', message };
      return { ...empty, problems: [problem] };
    }
    const document = parseDocument(text, { prettyErrors: false, logLevel: 'silent' });
    const reader = new YamlReader(text, document);
    const result = { ...empty };
    for (const error of document.errors) {
      const { from, to, message } = describeYamlError(text, error);
      reader.report(reader.wordAt(from, to), 'yaml', message);
    }
    try {
      if (document.errors.length === 0) {
        readRoot({ reader, kinds: this.#kinds, params: this.#params, result }, document.contents);
      }
    } catch (error) {
      // The YAML package throws on a few inputs (nesting too deep for the stack, alias bombs).
      const message = error instanceof Error ? error.message : String(error);
      reader.report(reader.clamp(0, text.trimEnd().length), 'yaml', `Not valid YAML: ${message.split('\n')[0]}`);
    }
    return { ...result, problems: reader.problems() };
  }
}

/** `7:12: message`, 1-based as editors and compilers write it. */
export function describeExperimentProblem(text: string, { start, message }: ExperimentProblem): string {
  const before = text.slice(0, start).split('\n');
  return `${before.length}:${(before.at(-1)?.length ?? 0) + 1}: ${message}`;
}
