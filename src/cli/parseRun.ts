import type { CellShare } from '../shared/experimentRun.ts';
import { common, joinNegativeNumbers, parse, readInteger, readOutput } from './parseOptions.ts';
import { UsageError } from './usage.ts';

/** `mechanist run` and `mechanist merge`. */
export interface RunCommand {
  readonly kind: 'run';
  readonly file: string;
  /** Instead of the model in the file. */
  readonly model: string | null;
  /** Names of steps; empty: all. */
  readonly steps: readonly string[];
  readonly share: CellShare | null;
  /** Folder for the results; null: beside the file. */
  readonly out: string | null;
  readonly fresh: boolean;
  /** File with observables that experiments share; null: none. */
  readonly observables: string | null;
  /** `merge`: folders or files with finished cells; null: `run`. */
  readonly parts: readonly string[] | null;
  /** 0: all cores. */
  readonly threads: number;
}

const options = {
  ...common,
  model: { type: 'string' },
  step: { type: 'string', multiple: true },
  cells: { type: 'string' },
  out: { type: 'string' },
  fresh: { type: 'boolean' },
  observables: { type: 'string' },
} as const;

export function isRunName(name: string): name is 'run' | 'merge' {
  return name === 'run' || name === 'merge';
}

/** `3/8`: the third of eight shares. */
function readShare(text: string | undefined): CellShare | null {
  if (text === undefined) return null;
  const [index, of] = (/^(\d{1,6})\/(\d{1,6})$/.exec(text) ?? []).slice(1).map(Number);
  if (index !== undefined && of !== undefined && index >= 1 && index <= of) return { index, of };
  throw new UsageError(`--cells must be a share as 3/8, from 1/8 to 8/8, not "${text}"`);
}

/** @throws UsageError */
export function parseRun(
  name: 'run' | 'merge',
  args: readonly string[],
): (RunCommand & { readonly json: boolean }) | { readonly kind: 'help'; readonly json: boolean } {
  const { values, positionals } = parse(joinNegativeNumbers(args), options);
  const json = readOutput(values);
  if (values.help === true) return { kind: 'help', json };
  const [file, ...rest] = positionals;
  if (file === undefined) throw new UsageError(`${name} needs an experiment file`);
  if (name === 'run' && rest[0] !== undefined) throw new UsageError(`unexpected argument "${rest[0]}"`);
  if (name === 'merge' && rest.length === 0) throw new UsageError('merge needs the results folders of the parts');
  if (name === 'merge' && (values.cells !== undefined || values.fresh === true)) {
    throw new UsageError(`--${values.cells === undefined ? 'fresh' : 'cells'} does not belong to merge`);
  }
  return {
    kind: 'run',
    json,
    file,
    model: values.model ?? null,
    steps: values.step ?? [],
    share: readShare(values.cells),
    out: values.out ?? null,
    fresh: values.fresh === true,
    observables: values.observables ?? null,
    parts: name === 'merge' ? rest : null,
    threads: readInteger('threads', values.threads, 1) ?? 0,
  };
}
