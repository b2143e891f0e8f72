import { MechanistError } from '../shared/errors.ts';

/** Anything that was thrown, as an error with a code; what nobody expected is `internal`. */
export function asMechanistError(error: unknown): MechanistError {
  if (error instanceof MechanistError) return error;
  return new MechanistError('internal', error instanceof Error ? error.message : String(error));
}
