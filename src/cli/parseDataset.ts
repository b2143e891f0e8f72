import { type ImportFormat, importFormats } from '../core/tasks/importDataset.ts';
import type { Collisions } from '../shared/dataset.ts';
import { common, DEFAULT_MODEL, joinNegativeNumbers, parse, readInteger, readOutput } from './parseOptions.ts';
import { UsageError } from './usage.ts';

const tasks = ['acronyms', 'ioi', 'greater-than', 'pairs'] as const;
export type MadeTask = (typeof tasks)[number];

export type DatasetCommand = { readonly kind: 'dataset' } & (
  | {
      readonly action: 'make';
      readonly task: MadeTask;
      readonly model: string;
      readonly rows: number;
      readonly seed: number;
      /** Of acronyms. */
      readonly letters: number;
      readonly collisions: Collisions;
      readonly before: string;
      /** Of acronyms: a file with the words of each row; null: they are drawn. */
      readonly words: string | null;
      /** Of pairs: the file with templates and what fills them; null for other tasks. */
      readonly from: string | null;
      readonly out: string;
    }
  | { readonly action: 'check'; readonly file: string; readonly model: string }
  | {
      readonly action: 'import';
      readonly file: string;
      /** Null: by the file's name. */
      readonly format: ImportFormat | null;
      /** Null: none is asked; answers are not taken apart. */
      readonly model: string | null;
      readonly out: string;
    }
);

const text = { type: 'string' } as const;
const options = {
  ...common,
  model: text,
  rows: text,
  seed: text,
  letters: text,
  collisions: text,
  before: text,
  words: text,
  from: text,
  format: text,
  out: text,
} as const;

type Values = ReturnType<typeof parse<typeof options>>['values'];

function oneOf<T extends string>(name: string, value: string | undefined, known: readonly T[], otherwise: T): T;
function oneOf<T extends string>(
  name: string,
  value: string | undefined,
  known: readonly T[],
  otherwise: null,
): T | null;
function oneOf<T extends string>(name: string, value: string | undefined, known: readonly T[], otherwise: T | null) {
  if (value === undefined) return otherwise;
  const found = known.find((word) => word === value);
  if (found !== undefined) return found;
  throw new UsageError(`${name} must be one of ${known.join(', ')}, not "${value}"`);
}

function needed(name: string, value: string | undefined): string {
  if (value === undefined) throw new UsageError(`dataset ${name}`);
  return value;
}

/** Options that another action has would be passed over without a word. */
function onlyFor(action: string, values: Values, names: readonly (keyof Values)[]): void {
  const surplus = names.find((name) => values[name] !== undefined);
  if (surplus !== undefined) throw new UsageError(`--${surplus} does not belong to dataset ${action}`);
}

function readMake(task: string | undefined, values: Values): DatasetCommand {
  onlyFor('make', values, ['format']);
  const name = oneOf('the task', needed(`make needs one of ${tasks.join(', ')}`, task), tasks, 'acronyms');
  if (name !== 'acronyms') onlyFor(`make ${name}`, values, ['letters', 'collisions', 'before', 'words']);
  if (name !== 'pairs') onlyFor(`make ${name}`, values, ['from']);
  return {
    kind: 'dataset',
    action: 'make',
    task: name,
    model: values.model ?? DEFAULT_MODEL,
    rows: readInteger('rows', values.rows, 1) ?? 200,
    seed: readInteger('seed', values.seed, 0) ?? 0,
    letters: readInteger('letters', values.letters, 1) ?? 3,
    collisions: oneOf('--collisions', values.collisions, ['exclude', 'avoid', 'allow'], 'exclude'),
    before: values.before ?? '',
    words: values.words ?? null,
    from: name === 'pairs' ? needed('make pairs needs --from FILE', values.from) : null,
    out: needed('make needs --out FILE', values.out),
  };
}

/**
 * `dataset make | check | import …`
 * @throws UsageError in words.
 */
export function parseDatasetCommand(
  args: readonly string[],
): (DatasetCommand | { readonly kind: 'help' }) & { readonly json: boolean } {
  const { values, positionals } = parse(joinNegativeNumbers(args), options);
  const json = readOutput(values);
  if (values.help === true) return { kind: 'help', json };
  const [action, subject, extra] = positionals;
  if (extra !== undefined) throw new UsageError(`unexpected argument "${extra}"`);
  if (action === 'make') return { ...readMake(subject, values), json };
  const making = ['rows', 'seed', 'letters', 'collisions', 'before', 'words', 'from'] as const;
  if (action === 'check') {
    onlyFor('check', values, [...making, 'format', 'out']);
    const file = needed('check needs a file', subject);
    return { kind: 'dataset', action, file, model: values.model ?? DEFAULT_MODEL, json };
  }
  if (action === 'import') {
    onlyFor('import', values, making);
    return {
      kind: 'dataset',
      action,
      file: needed('import needs a file', subject),
      format: oneOf('--format', values.format, importFormats, null),
      model: values.model ?? null,
      out: needed('import needs --out FILE', values.out),
      json,
    };
  }
  throw new UsageError(
    action === undefined ? 'dataset needs one of make, check, import' : `unknown command "dataset ${action}"`,
  );
}
