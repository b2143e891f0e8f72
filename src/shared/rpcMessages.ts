import { MechanistError } from './errors.ts';
import type { Progress } from './progress.ts';

/** Everything that crosses a port. */
export type Message =
  | { readonly kind: 'request'; readonly id: number; readonly method: string; readonly params: unknown }
  | { readonly kind: '$cancel'; readonly id: number }
  | { readonly kind: 'progress'; readonly id: number; readonly progress: Progress }
  | { readonly kind: 'ok'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'err'; readonly id: number; readonly error: WireError }
  | { readonly kind: 'cancelled'; readonly id: number }
  | { readonly kind: 'notify'; readonly name: string; readonly params: unknown };

/** An error as it crosses a port: never with a stack. */
export interface WireError {
  readonly code: string;
  readonly message: string;
  readonly data: Readonly<Record<string, unknown>>;
}

type RecordOf = Readonly<Record<string, unknown>>;

function isRecord(value: unknown): value is RecordOf {
  return typeof value === 'object' && value !== null;
}

function isProgress(value: unknown): boolean {
  return (
    isRecord(value) &&
    typeof value.done === 'number' &&
    typeof value.total === 'number' &&
    typeof value.label === 'string'
  );
}

function isWireError(value: unknown): boolean {
  return isRecord(value) && typeof value.code === 'string' && typeof value.message === 'string' && isRecord(value.data);
}

/** Checks the envelope only; parameters and values are the business of the typed ends. */
export function isMessage(value: unknown): value is Message {
  if (!isRecord(value)) return false;
  if (value.kind === 'notify') return typeof value.name === 'string';
  if (typeof value.id !== 'number' || !Number.isSafeInteger(value.id)) return false;
  switch (value.kind) {
    case 'request':
      return typeof value.method === 'string';
    case 'progress':
      return isProgress(value.progress);
    case 'err':
      return isWireError(value.error);
    case 'ok':
    case 'cancelled':
    case '$cancel':
      return true;
    default:
      return false;
  }
}

/** A message in a few words, for the log. */
export function describe(message: unknown): string {
  if (!isRecord(message)) return `a ${message === null ? 'null' : typeof message}`;
  return `kind ${String(message.kind)}, id ${String(message.id)}`;
}

/** Errors thrown on purpose keep code and message; anything else is `internal` and its stack goes to the log. */
export function toWire(error: unknown, method: string, log: (line: string) => void): WireError {
  if (error instanceof MechanistError) return { code: error.code, message: error.message, data: error.data };
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  log(`${method} failed: ${text}`);
  const message = error instanceof Error ? error.message : String(error);
  return { code: 'internal', message: message.split('\n', 1)[0] ?? '', data: {} };
}
