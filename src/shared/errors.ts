/** Why something failed, as a word a program can switch on. The message says what to do next. */
export type ErrorCode =
  | 'cancelled'
  | 'bad-input'
  | 'prompt-empty'
  | 'prompt-too-long'
  | 'token-splits'
  | 'model-not-found'
  | 'model-unsupported'
  | 'model-corrupt'
  | 'model-too-large'
  | 'download-failed'
  | 'hash-mismatch'
  | 'disk-full'
  | 'engine-stopped'
  | 'internal';

/**
 * An expected failure: something a person can act on. It crosses process borders as `{code, message, data}`;
 * stacks go to the log only.
 */
export class MechanistError extends Error {
  override readonly name = 'MechanistError';

  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly data: Readonly<Record<string, unknown>> = {},
  ) {
    super(message);
  }
}

/** True for the error that a cancelled operation ends with. Cancelling is not a failure and is never shown. */
export function isCancelled(error: unknown): boolean {
  return (
    (error instanceof MechanistError && error.code === 'cancelled') ||
    (error instanceof Error && error.name === 'AbortError')
  );
}

/** Throws the one error that means "cancelled" if `signal` has fired. Call it before each forward pass. */
export function throwIfCancelled(signal: { readonly aborted: boolean } | undefined): void {
  if (signal?.aborted) throw new MechanistError('cancelled', 'Cancelled.');
}
