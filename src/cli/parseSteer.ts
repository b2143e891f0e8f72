import type { SteerDirection, SteerRequest } from '../shared/steerDocument.ts';
import { common, DEFAULT_MODEL, parse, readInteger, readOutput } from './parseOptions.ts';
import { UsageError } from './usage.ts';

export interface SteerCommand {
  readonly kind: 'steer';
  readonly request: Omit<SteerRequest, 'direction'>;
  /** The direction, or the file that it is read from. */
  readonly direction: SteerDirection | { readonly kind: 'file'; readonly file: string };
  readonly threads: number;
}

const text = { type: 'string' } as const;
const options = {
  ...common,
  model: text,
  prompt: text,
  answer: text,
  foil: { type: 'string', multiple: true },
  hook: text,
  vector: text,
  toward: text,
  away: text,
  plus: text,
  minus: text,
  factor: { type: 'string', multiple: true },
  positions: text,
  'keep-length': { type: 'boolean' },
  top: text,
} as const;

type Values = ReturnType<typeof parse<typeof options>>['values'];

function readDirection({ vector, toward, away, plus, minus }: Values): SteerCommand['direction'] {
  const ways = [vector, toward, plus].filter((way) => way !== undefined).length;
  if (ways !== 1)
    throw new UsageError('steer needs one direction: --vector FILE, --toward TOKEN, or --plus and --minus');
  if (vector !== undefined) return { kind: 'file', file: vector };
  if (toward !== undefined) return { kind: 'unembedding', toward, ...(away !== undefined && { away }) };
  if (plus === undefined || minus === undefined) throw new UsageError('--plus needs --minus');
  return { kind: 'prompts', plus, minus };
}

function readNumbers(name: string, list: readonly string[]): number[] {
  return list.map((one) => {
    const value = Number(one);
    if (one.trim() === '' || !Number.isFinite(value)) throw new UsageError(`--${name} must be a number, not "${one}"`);
    return value;
  });
}

function needed(name: 'prompt' | 'answer' | 'hook', value: string | undefined): string {
  if (value === undefined) throw new UsageError(`steer needs --${name}`);
  return value;
}

/** `--factor -8` as people write it. */
function joinFactors(args: readonly string[]): string[] {
  const joined: string[] = [];
  for (const arg of args) {
    const last = joined.at(-1);
    if (/^-[\d.]/.test(arg) && (last === '--factor' || last === '--positions'))
      joined[joined.length - 1] = `${last}=${arg}`;
    else joined.push(arg);
  }
  return joined;
}

/**
 * What the person asked for.
 * @throws UsageError in words.
 */
export function parseSteer(
  args: readonly string[],
): (SteerCommand | { readonly kind: 'help' }) & { readonly json: boolean } {
  const { values, positionals } = parse(joinFactors(args), options);
  const json = readOutput(values);
  if (values.help === true) return { kind: 'help', json };
  if (positionals[0] !== undefined) throw new UsageError(`unexpected argument "${positionals[0]}"`);
  const positions =
    values.positions === undefined ? undefined : readNumbers('positions', values.positions.split(/[\s,]+/));
  return {
    kind: 'steer',
    json,
    direction: readDirection(values),
    request: {
      model: values.model ?? DEFAULT_MODEL,
      prompt: {
        clean: needed('prompt', values.prompt),
        answer: needed('answer', values.answer),
        foils: values.foil ?? [],
      },
      hook: needed('hook', values.hook),
      factors: readNumbers('factor', values.factor ?? ['8']),
      unit: values['keep-length'] !== true,
      top: readInteger('top', values.top, 1) ?? 10,
      ...(positions && { positions }),
    },
    threads: readInteger('threads', values.threads, 1) ?? 0,
  };
}
