import { MechanistError } from '../../shared/errors.ts';

/** Says that a group must be made smaller before it can be run. */
export class GroupTooLarge extends Error {
  constructor(readonly items: number) {
    super(`There is not enough memory for ${items} prompts at once.`);
  }
}

/** For a run that cannot be made smaller. */
export function tooLarge(count: number): MechanistError {
  return new MechanistError(
    'model-too-large',
    `There is not enough memory for a single run of ${count} tokens. Close other programs, or shorten the prompt. The cells that are done are kept.`,
  );
}

/** For a NaN or infinity of one cell on one prompt, whose unchanged run is finite. `cell`: `L3.H1`. */
export function nonFiniteCell({ data }: MechanistError, cell: string, prompt: string): MechanistError {
  const { hook, kind = 'NaN' } = data;
  return new MechanistError(
    'model-corrupt',
    `In cell ${cell}, prompt ${prompt}, the activations become ${kind} at ${hook}; without the intervention they are finite. Leave the prompt out, or take another kind of intervention. The cells that are done are kept.`,
    { ...data, cell, prompt },
  );
}
