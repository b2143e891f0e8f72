import { MechanistError } from '../../shared/errors.ts';
import type { Output } from './sessionPool.ts';

/** Whether there is no NaN and no infinity. */
export function allFinite(values: ArrayLike<number>): boolean {
  // A float64 sum of float32 numbers is finite exactly when every one of them is. Four sums do not wait for one another.
  const { length } = values;
  let [a, b, c, d] = [0, 0, 0, 0];
  let i = 0;
  for (; i + 3 < length; i += 4) {
    a += values[i];
    b += values[i + 1];
    c += values[i + 2];
    d += values[i + 3];
  }
  for (; i < length; i += 1) a += values[i];
  return Number.isFinite(a + b + c + d);
}

/**
 * The error for a NaN or infinity in the activations: names the first hook point that has one. `edited`: interventions
 * act there or before, so that the weights need not be at fault.
 */
export function nonFiniteError(hook: string, values: ArrayLike<number>, edited = false): MechanistError {
  const kind = Array.from(values).some((value) => Number.isNaN(value)) ? 'NaN' : 'infinity';
  return edited
    ? new MechanistError(
        'bad-input',
        `The activations become ${kind} at ${hook}, in a run with interventions. Use smaller values, or run the prompt without interventions to see whether the model itself is damaged.`,
        { hook, kind },
      )
    : new MechanistError(
        'model-corrupt',
        `The activations become ${kind} at ${hook}. The weights of this model are damaged or overflow float32; verify the model or add it again.`,
        { hook, kind },
      );
}

/** Numbers that were added up outside a graph. @throws MechanistError `model-corrupt` when one is not finite, naming `hook` */
export function checkFinite(values: Float32Array, hook: string): Float32Array {
  if (!allFinite(values)) throw nonFiniteError(hook, values);
  return values;
}

/** What an intervention left of `before`. @throws MechanistError `bad-input` when it is not finite */
export function checkEdited(x: Float32Array, before: Float32Array, hook: string): Float32Array {
  if (x !== before && !allFinite(x)) throw nonFiniteError(hook, x, true);
  return x;
}

/** The numbers of an output. @throws MechanistError `model-corrupt` when one is not finite, naming `hook` */
export function finiteNumbers({ data }: Output, hook: string): Float32Array {
  if (!(data instanceof Float32Array)) throw new Error('Expected a float32 output.');
  return checkFinite(data, hook);
}

/** Whether a run stopped at a NaN or infinity; its `data.hook` says where. */
export function isNonFinite(error: unknown): error is MechanistError {
  return error instanceof MechanistError && typeof error.data.hook === 'string';
}
