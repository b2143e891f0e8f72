import { MechanistError } from '../../shared/errors.ts';
import type { SteerDirection } from '../../shared/steerDocument.ts';

/**
 * A direction from a file: a JSON list of numbers, one for each dimension.
 * @param name of the file, for what is said when it holds something else
 * @throws MechanistError `bad-input`
 */
export function directionFromJson(text: string, name: string): SteerDirection {
  const wrong = (why: string) => new MechanistError('bad-input', `${name} is no direction: ${why}`);
  let values: unknown;
  try {
    values = JSON.parse(text);
  } catch (error) {
    throw wrong((error as Error).message);
  }
  if (!Array.isArray(values) || !values.every((value) => typeof value === 'number')) {
    throw wrong('it is a JSON list of numbers, one for each dimension.');
  }
  return { kind: 'vector', values };
}
