import { parseArgs } from 'node:util';
import { UsageError } from './usage.ts';

/** Used when nobody names a model. */
export const DEFAULT_MODEL = 'smollm2-135m';

/** Options of every command. */
export const common = {
  json: { type: 'boolean' },
  text: { type: 'boolean' },
  debug: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean' },
  threads: { type: 'string' },
} as const;

type Parsed<T extends typeof common> = ReturnType<
  typeof parseArgs<{ args: string[]; options: T; allowPositionals: true; strict: true }>
>;

/** @throws UsageError for an option that is not known or has no value. */
export function parse<T extends typeof common>(args: readonly string[], options: T): Parsed<T> {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (error) {
    // Node's text ends with a hint on its own API after the first sentence.
    const message = error instanceof Error ? error.message : String(error);
    throw new UsageError(message.split(/\. (?=To |Did )|\n/, 1)[0]);
  }
}

/** `--position -1` as people write it; parseArgs wants `--position=-1`. */
export function joinNegativeNumbers(args: readonly string[]): string[] {
  const joined: string[] = [];
  for (const arg of args) {
    const last = joined.at(-1);
    if (/^-\d+$/.test(arg) && last !== undefined && /^--(position|top|threads|layer|seed)$/.test(last)) {
      joined[joined.length - 1] = `${last}=${arg}`;
    } else joined.push(arg);
  }
  return joined;
}

/** A whole number of at least `least`. @throws UsageError */
export function readInteger(name: string, text: string | undefined, least: number): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!/^[+-]?\d+$/.test(text) || !Number.isSafeInteger(value) || value < least) {
    const kind = Number.isFinite(least) ? `a whole number from ${least}` : 'a whole number';
    throw new UsageError(`--${name} must be ${kind}, not "${text}"`);
  }
  return value;
}

/** One of a few words. @throws UsageError */
export function readChoice<T extends string>(
  name: string,
  text: string | undefined,
  choices: readonly T[],
): T | undefined {
  const found = choices.find((choice) => choice === text);
  if (text === undefined || found !== undefined) return found;
  throw new UsageError(`--${name} must be one of ${choices.join(', ')}, not "${text}"`);
}

/** Whether JSON is wanted. @throws UsageError */
export function readOutput(values: { json?: boolean; text?: boolean }): boolean {
  if (values.json === true && values.text === true) throw new UsageError('--json and --text exclude each other');
  return values.json === true;
}
