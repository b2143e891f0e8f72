import { baseline } from './baseline.ts';
import type { StepKind } from './stepKind.ts';
import { patchHeads } from './steps/patchHeads.ts';
import { patchResidual } from './steps/patchResidual.ts';

/** A kind whose parameters are only known to itself: what it is given has passed its schema. */
function anyKind<P>(kind: StepKind<P>): StepKind {
  return kind as unknown as StepKind;
}

/**
 * The analyses that an experiment's steps can run. One more is one more line here; then
 * `npx vitest run test/unit/experiments/schema.test.ts -u` writes the schema that the editor reads.
 */
export const stepKinds: readonly StepKind[] = [anyKind(baseline), anyKind(patchResidual), anyKind(patchHeads)];
