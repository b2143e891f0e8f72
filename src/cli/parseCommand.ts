import { attributionMethods } from '../core/tasks/frontMatter.ts';
import { parsePath } from '../core/tasks/pathText.ts';
import type { ObservableSpec } from '../shared/engineProtocol.ts';
import { type NormMode, normModes } from '../shared/features.ts';
import type { AttributionMethod, PropagationView } from '../shared/traceDocument.ts';
import { type DatasetCommand, parseDatasetCommand } from './parseDataset.ts';
import {
  common,
  DEFAULT_MODEL,
  joinNegativeNumbers,
  parse,
  readChoice,
  readInteger,
  readOutput,
} from './parseOptions.ts';
import { isRunName, parseRun, type RunCommand } from './parseRun.ts';
import { parseSteer, type SteerCommand } from './parseSteer.ts';
import { isSweepName, parseSweep, type SweepCommand } from './parseSweep.ts';
import { UsageError } from './usage.ts';

export interface TraceCommand {
  readonly kind: 'trace';
  /** The text itself, or where it is read from (`-`: standard input). */
  readonly prompt: { readonly text: string } | { readonly file: string };
  readonly model: string;
  readonly observable: ObservableSpec | undefined;
  readonly position: number | undefined;
  readonly method: AttributionMethod;
  readonly top: number;
  /** Of integrated gradients; undefined: the default. */
  readonly steps: number | undefined;
  /** Of observable propagation; undefined: the defaults. */
  readonly path: string | undefined;
  readonly norm: NormMode | undefined;
  readonly view: PropagationView | undefined;
  /** 0: all cores. */
  readonly threads: number;
}

export type ModelsAction = 'list' | 'pull' | 'info' | 'verify' | 'add';

export interface ModelsCommand {
  readonly kind: 'models';
  readonly action: ModelsAction;
  /** Empty for `list`. */
  readonly model: string;
  readonly threads: number;
}

export type Command = (
  | TraceCommand
  | ModelsCommand
  | SweepCommand
  | SteerCommand
  | RunCommand
  | DatasetCommand
  | { readonly kind: 'help' }
  | { readonly kind: 'version' }
) & {
  readonly json: boolean;
};

const traceOptions = {
  ...common,
  model: { type: 'string' },
  observable: { type: 'string' },
  position: { type: 'string' },
  method: { type: 'string' },
  top: { type: 'string' },
  steps: { type: 'string' },
  path: { type: 'string' },
  norm: { type: 'string' },
  view: { type: 'string' },
  'prompt-file': { type: 'string' },
} as const;

function readObservable(text: string | undefined): ObservableSpec | undefined {
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new UsageError(`--observable is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  const terms = typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.entries(value) : [];
  if (terms.length === 0)
    throw new UsageError(`--observable must be an object of token: weight, e.g. '{" she": 1, " he": -1}'`);
  const wrong = terms.find(([, weight]) => typeof weight !== 'number' || !Number.isFinite(weight));
  if (wrong !== undefined)
    throw new UsageError(`--observable: the weight of ${JSON.stringify(wrong[0])} must be a number`);
  return Object.fromEntries(terms) as ObservableSpec;
}

/** @throws UsageError */
function readPropagation(method: AttributionMethod, values: { path?: string; norm?: string; view?: string }) {
  const given = (['path', 'norm', 'view'] as const).find((name) => values[name] !== undefined);
  if (given !== undefined && method !== 'observable-propagation') {
    throw new UsageError(`--${given} goes with --method observable-propagation`);
  }
  const { path } = values;
  if (path !== undefined) {
    const [problem] = parsePath(path).problems;
    if (problem !== undefined) throw new UsageError(`--path: ${problem.message}`);
  }
  return {
    path,
    norm: readChoice('norm', values.norm, normModes),
    view: readChoice('view', values.view, ['score', 'contribution'] as const),
  };
}

function readPrompt(positionals: readonly string[], file: string | undefined): TraceCommand['prompt'] {
  const [prompt, extra] = positionals;
  if (extra !== undefined) throw new UsageError(`unexpected argument "${extra}"; put the prompt in quotes`);
  if (prompt !== undefined && file !== undefined) throw new UsageError('give the prompt or --prompt-file, not both');
  if (file !== undefined) return { file };
  if (prompt === undefined) throw new UsageError('trace needs a prompt');
  return prompt === '-' ? { file: '-' } : { text: prompt };
}

function parseTrace(args: readonly string[]): Command {
  const { values, positionals } = parse(joinNegativeNumbers(args), traceOptions);
  const json = readOutput(values);
  if (values.help === true) return { kind: 'help', json };
  const method = readChoice('method', values.method, attributionMethods) ?? 'direct';
  return {
    kind: 'trace',
    json,
    prompt: readPrompt(positionals, values['prompt-file']),
    model: values.model ?? DEFAULT_MODEL,
    observable: readObservable(values.observable),
    position: readInteger('position', values.position, Number.NEGATIVE_INFINITY),
    method,
    ...readPropagation(method, values),
    top: readInteger('top', values.top, 1) ?? 10,
    steps: readInteger('steps', values.steps, 1),
    threads: readInteger('threads', values.threads, 1) ?? 0,
  };
}

const actions: Readonly<Record<ModelsAction, string | null>> = {
  list: null,
  pull: 'a catalogue id',
  info: 'a catalogue id, a folder or a .gguf file',
  verify: 'a catalogue id',
  add: 'a folder or a .gguf file',
};

function isAction(text: string): text is ModelsAction {
  return Object.hasOwn(actions, text);
}

function parseModels(args: readonly string[]): Command {
  const { values, positionals } = parse(joinNegativeNumbers(args), common);
  const json = readOutput(values);
  if (values.help === true) return { kind: 'help', json };
  const [action, model, extra] = positionals;
  if (action === undefined) throw new UsageError('models needs one of list, pull, info, verify, add');
  if (!isAction(action)) throw new UsageError(`unknown command "models ${action}"`);
  const needs = actions[action];
  if (needs !== null && model === undefined) throw new UsageError(`models ${action} needs ${needs}`);
  const surplus = needs === null ? model : extra;
  if (surplus !== undefined) throw new UsageError(`unexpected argument "${surplus}"`);
  return { kind: 'models', action, model: model ?? '', json, threads: readInteger('threads', values.threads, 1) ?? 0 };
}

/**
 * What the person asked for.
 * @throws UsageError in words.
 */
export function parseCommand(args: readonly string[]): Command {
  const [first, ...rest] = args;
  if (first === undefined) throw new UsageError('no command given');
  if (first === 'trace') return parseTrace(rest);
  if (first === 'models') return parseModels(rest);
  if (first === 'steer') return parseSteer(rest);
  if (isRunName(first)) return parseRun(first, rest);
  if (first === 'dataset') return parseDatasetCommand(rest);
  if (isSweepName(first)) return parseSweep(first, rest);
  if (first === 'help') return { kind: 'help', json: false };
  if (!first.startsWith('-')) throw new UsageError(`unknown command "${first}"`);
  const { values } = parse(args, common);
  if (values.version === true) return { kind: 'version', json: false };
  if (values.help === true) return { kind: 'help', json: false };
  throw new UsageError('no command given');
}
