import type { AblationValue, CircuitFile } from '../../shared/circuit.ts';
import { firstJsonError, type JsonPath, locateAllJson } from '../tasks/datasetJson.ts';
import { nearestWord } from '../tasks/nearestWord.ts';
import { missingNode, type NodeSizes, nodeName, parseNodeName } from './nodeNames.ts';

/** What is wrong with a stretch of a circuit file. Offsets are UTF-16 code units of its text. */
export interface CircuitProblem {
  readonly start: number;
  readonly end: number;
  /** `error`: the circuit cannot be used. `warning`: it can, but something is ignored or doubtful. */
  readonly severity: 'error' | 'warning';
  readonly code:
    | 'not-json'
    | 'wrong-type'
    | 'missing-key'
    | 'unknown-key'
    | 'unknown-node'
    | 'duplicate-node'
    | 'newer-version'
    | 'other-model';
  /** Says what is wrong and what to write instead. */
  readonly message: string;
}

export interface ReadCircuit {
  /** Null when there is an error. Keys that Mechanist does not know are kept, and written back. */
  readonly circuit: CircuitFile | null;
  readonly problems: readonly CircuitProblem[];
}

/** The model that a circuit is to be used on. */
export interface CircuitModel extends NodeSizes {
  readonly label: string;
  readonly hash: string | null;
}

const TOP: readonly string[] = [
  ...['schemaVersion', 'kind', 'name', 'model', 'scope', 'nodes', 'edges', 'data', 'ablation', 'provenance', 'notes'],
];
const NODE = ['node', 'role', 'label', 'at', 'effect'] as const;
const EDGE = ['from', 'to', 'channel', 'effect'] as const;
const SCOPES = ['heads', 'heads+mlps', 'edges'] as const;
const CHANNELS = ['q', 'k', 'v', 'mlp', 'logits'] as const;

type Code = CircuitProblem['code'];
type Fields = Readonly<Record<string, unknown>>;

interface Found {
  readonly path: JsonPath;
  readonly code: Code;
  readonly message: string;
  readonly severity: CircuitProblem['severity'];
}

const isRecord = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isText = (value: unknown): value is string => typeof value === 'string';
const isTexts = (value: unknown): value is readonly string[] => Array.isArray(value) && value.every(isText);

/** Line and column, 1-based. */
function place(text: string, offset: number): string {
  const before = text.slice(0, offset).split('\n');
  return `line ${before.length}, column ${(before.at(-1)?.length ?? 0) + 1}`;
}

function syntaxProblem(text: string, offset: number): CircuitProblem {
  const before = text.slice(0, offset).trimEnd();
  const trailing = /[}\]]/.test(text[offset] ?? '') && before.endsWith(',');
  const [start, what] = trailing
    ? [before.length - 1, 'There is a comma after the last entry. Delete it.']
    : [
        Math.min(offset, Math.max(0, text.length - 1)),
        offset >= text.length ? 'The file ends too early.' : 'This is not JSON.',
      ];
  const message = `${what} (${place(text, start)})`;
  return { start, end: Math.min(text.length, start + 1), severity: 'error', code: 'not-json', message };
}

/** Collects what is wrong with the values of one file. */
class Checker {
  readonly found: Found[] = [];

  add(path: JsonPath, code: Code, message: string, severity: Found['severity'] = 'error'): void {
    this.found.push({ path, code, message, severity });
  }

  /** Warns of keys that nothing reads. */
  keys(value: Fields, known: readonly string[], path: JsonPath): void {
    for (const key of Object.keys(value)) {
      if (known.includes(key)) continue;
      const near = nearestWord(key, known);
      const advice = near === null ? '' : ` Did you mean ${near}?`;
      this.add([...path, key], 'unknown-key', `"${key}" is kept but not read.${advice}`, 'warning');
    }
  }

  text(value: Fields, key: string, path: JsonPath, needed: boolean): void {
    if (value[key] === undefined) {
      if (needed) this.add(path, 'missing-key', `"${key}" is missing.`);
    } else if (!isText(value[key])) this.add([...path, key], 'wrong-type', `"${key}" is a text in quotes.`);
  }

  number(value: Fields, key: string, path: JsonPath): void {
    if (value[key] !== undefined && !Number.isFinite(value[key])) {
      this.add([...path, key], 'wrong-type', `"${key}" is a number.`);
    }
  }

  choice(value: Fields, key: string, path: JsonPath, choices: readonly string[]): void {
    if (value[key] === undefined) this.add(path, 'missing-key', `"${key}" is missing: ${choices.join(', ')}.`);
    else if (!choices.includes(value[key] as string)) {
      this.add([...path, key], 'wrong-type', `"${key}" is one of ${choices.join(', ')}.`);
    }
  }

  /** A name that stands for a node of the model, if the model is known. */
  node(value: Fields, key: string, path: JsonPath, model: CircuitModel | null): void {
    this.text(value, key, path, true);
    const name = value[key];
    if (!isText(name)) return;
    const huge = { nLayers: Infinity, nHeads: Infinity, dMlp: Infinity };
    const problem = missingNode(name, model ?? huge);
    if (problem !== null) this.add([...path, key], 'unknown-node', problem);
  }
}

function checkNodes(check: Checker, file: Fields, model: CircuitModel | null): void {
  if (!Array.isArray(file.nodes)) {
    check.add(['nodes'], file.nodes === undefined ? 'missing-key' : 'wrong-type', '"nodes" is a list of nodes.');
    return;
  }
  const seen = new Set<string>();
  file.nodes.forEach((value: unknown, i) => {
    const path = ['nodes', i];
    if (!isRecord(value)) {
      check.add(path, 'wrong-type', 'A node is written {"node": "L9.H6"}.');
      return;
    }
    check.keys(value, NODE, path);
    check.node(value, 'node', path, model);
    for (const key of ['role', 'label']) check.text(value, key, path, false);
    check.number(value, 'effect', path);
    if (value.at !== undefined && !isTexts(value.at)) {
      check.add([...path, 'at'], 'wrong-type', '"at" is a list of roles or positions in quotes.');
    }
    const part = isText(value.node) ? parseNodeName(value.node) : null;
    if (part === null) return;
    const name = nodeName(part);
    if (seen.has(name)) check.add([...path, 'node'], 'duplicate-node', `${name} stands here twice. Delete one.`);
    seen.add(name);
  });
}

function checkEdges(check: Checker, file: Fields, model: CircuitModel | null): void {
  if (file.edges === undefined) {
    if (file.scope === 'edges') check.add([], 'missing-key', 'A circuit of scope "edges" needs "edges".');
    return;
  }
  if (!Array.isArray(file.edges)) {
    check.add(['edges'], 'wrong-type', '"edges" is a list of edges.');
    return;
  }
  file.edges.forEach((value: unknown, i) => {
    const path = ['edges', i];
    if (!isRecord(value)) {
      check.add(path, 'wrong-type', 'An edge is written {"from": "L0.H1", "to": "L2.H3", "channel": "k"}.');
      return;
    }
    check.keys(value, EDGE, path);
    for (const key of ['from', 'to']) check.node(value, key, path, model);
    check.choice(value, 'channel', path, CHANNELS);
    check.number(value, 'effect', path);
  });
}

function checkAblation(check: Checker, file: Fields): void {
  const { ablation } = file;
  if (!isRecord(ablation)) {
    const code = ablation === undefined ? 'missing-key' : 'wrong-type';
    check.add(['ablation'], code, '"ablation" is {"kind": "mean"}, {"kind": "zero"} or {"kind": "resample", …}.');
    return;
  }
  check.choice(ablation, 'kind', ['ablation'], ['zero', 'mean', 'resample']);
  check.text(ablation, 'corruption', ['ablation'], ablation.kind === 'resample');
}

function checkModel(check: Checker, file: Fields, model: CircuitModel | null): void {
  const own = file.model;
  if (!isRecord(own)) {
    check.add(['model'], own === undefined ? 'missing-key' : 'wrong-type', '"model" is {"ref": "…", "hash": "…"}.');
    return;
  }
  check.text(own, 'ref', ['model'], true);
  check.text(own, 'hash', ['model'], false);
  if (model === null || model.hash === null || own.hash === undefined || own.hash === model.hash) return;
  check.add(
    ['model', 'hash'],
    'other-model',
    `This circuit was made with other weights than those of ${model.label} (hash ${String(own.hash).slice(0, 7)}, not ${model.hash.slice(0, 7)}). Its numbers need not hold here.`,
    'warning',
  );
}

function checkFile(file: unknown, model: CircuitModel | null): Found[] {
  const check = new Checker();
  if (!isRecord(file)) {
    check.add([], 'wrong-type', 'A circuit file holds one object: {"schemaVersion": 1, "kind": "circuit", …}.');
    return check.found;
  }
  if (typeof file.schemaVersion === 'number' && file.schemaVersion > 1) {
    const message = `This circuit was written by a newer Mechanist (schema version ${file.schemaVersion}; this one reads 1).`;
    check.add(['schemaVersion'], 'newer-version', message);
    return check.found;
  }
  if (file.kind !== 'circuit') check.add(['kind'], 'wrong-type', 'The kind of a circuit file is "circuit".');
  check.keys(file, TOP, []);
  check.text(file, 'name', [], true);
  check.text(file, 'notes', [], false);
  check.choice(file, 'scope', [], SCOPES);
  checkModel(check, file, model);
  checkNodes(check, file, model);
  checkEdges(check, file, model);
  checkAblation(check, file);
  return check.found;
}

/**
 * Reads a circuit file. Never throws: what is wrong is said at the place where it was written.
 * @param model the model that the circuit is to be used on; null: nodes are only checked for their spelling
 */
export function readCircuit(text: string, model: CircuitModel | null = null): ReadCircuit {
  const error = firstJsonError(text);
  if (error !== null) return { circuit: null, problems: [syntaxProblem(text, error)] };
  const value: unknown = JSON.parse(text);
  const found = checkFile(value, model);
  const ranges = locateAllJson(
    text,
    found.map(({ path }) => path),
  );
  const problems = found.map(({ code, message, severity }, i) => {
    const { start, end } = ranges[i] ?? { start: 0, end: Math.min(1, text.length) };
    return { start, end, severity, code, message };
  });
  const usable = problems.every(({ severity }) => severity === 'warning');
  return { circuit: usable ? normalised(value as CircuitFile) : null, problems };
}

/** Names in Mechanist's own spelling. */
function normalised(file: CircuitFile): CircuitFile {
  const own = (name: string) => nodeName(parseNodeName(name) ?? { kind: 'emb' });
  return {
    ...file,
    nodes: file.nodes.map((node) => ({ ...node, node: own(node.node) })),
    ...(file.edges && { edges: file.edges.map((edge) => ({ ...edge, from: own(edge.from), to: own(edge.to) })) }),
    provenance: file.provenance ?? { method: 'by hand' },
  };
}

/** What stands in for what is not in a circuit, in words. */
export function ablationWords(ablation: AblationValue): string {
  switch (ablation.kind) {
    case 'zero':
      return 'zero';
    case 'mean':
      return ablation.corruption === undefined
        ? 'mean over the rows, at each position, of the clean run'
        : `mean over the rows, at each position, of the run corrupted by ${ablation.corruption}`;
    case 'resample':
      return `the same row corrupted by ${ablation.corruption}`;
  }
}

/** A circuit as the text of a file: one node and one edge a line, so that changes show in a diff. */
export function circuitToText(circuit: CircuitFile): string {
  const order = (key: string) => (TOP.includes(key) ? TOP.indexOf(key) : TOP.length);
  const entries = Object.entries(circuit)
    .filter(([, value]) => value !== undefined)
    .sort(([a], [b]) => order(a) - order(b));
  const lines = entries.map(([key, value]) => {
    const list = (key === 'nodes' || key === 'edges') && Array.isArray(value) && value.length > 0;
    const body = list
      ? `[\n${(value as unknown[]).map((entry) => `    ${JSON.stringify(entry)}`).join(',\n')}\n  ]`
      : JSON.stringify(value);
    return `  ${JSON.stringify(key)}: ${body}`;
  });
  return `{\n${lines.join(',\n')}\n}\n`;
}
