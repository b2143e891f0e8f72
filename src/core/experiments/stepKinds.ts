import { circuitEvaluate } from '../circuits/steps/circuitEvaluate.ts';
import { discoverEap, discoverEapIg } from '../circuits/steps/discoverEap.ts';
import { discoverAcdc, discoverGreedy } from '../circuits/steps/discoverPruned.ts';
import { coupleFeatures } from '../observables/steps/coupleFeatures.ts';
import { debias } from '../observables/steps/debias.ts';
import { feature } from '../observables/steps/feature.ts';
import { featureBaselines } from '../observables/steps/featureBaselines.ts';
import { findPaths } from '../observables/steps/findPaths.ts';
import { headNormsStep } from '../observables/steps/headNorms.ts';
import { headsMap } from '../observables/steps/headsMap.ts';
import { steerFeature } from '../observables/steps/steerFeature.ts';
import { topTokens } from '../observables/steps/topTokens.ts';
import { baseline } from './baseline.ts';
import type { StepKind } from './stepKind.ts';
import { attentionByRole } from './steps/attentionByRole.ts';
import { copyingScatter } from './steps/copyingScatter.ts';
import { copyingScores } from './steps/copyingScores.ts';
import { meanPattern } from './steps/meanPattern.ts';
import { ovCircuit } from './steps/ovCircuit.ts';
import { patchHeads } from './steps/patchHeads.ts';
import { patchPaths } from './steps/patchPaths.ts';
import { patchResidual } from './steps/patchResidual.ts';
import { swapBosAttention } from './steps/swapBosAttention.ts';
import { swapCombination } from './steps/swapCombination.ts';
import { swapPositions } from './steps/swapPositions.ts';

/** A kind whose parameters are only known to itself: what it is given has passed its schema. */
function anyKind<P>(kind: StepKind<P>): StepKind {
  return kind as unknown as StepKind;
}

/**
 * The analyses that an experiment's steps can run. One more is one more line here; then
 * `npx vitest run test/unit/experiments/schema.test.ts -u` writes the schema that the editor reads.
 */
export const stepKinds: readonly StepKind[] = [
  anyKind(baseline),
  anyKind(patchResidual),
  anyKind(patchHeads),
  anyKind(patchPaths),
  anyKind(attentionByRole),
  anyKind(meanPattern),
  anyKind(ovCircuit),
  anyKind(copyingScores),
  anyKind(copyingScatter),
  anyKind(swapPositions),
  anyKind(swapBosAttention),
  anyKind(swapCombination),
  anyKind(circuitEvaluate),
  anyKind(discoverEap),
  anyKind(discoverEapIg),
  anyKind(discoverAcdc),
  anyKind(discoverGreedy),
  anyKind(feature),
  anyKind(headNormsStep),
  anyKind(headsMap),
  anyKind(coupleFeatures),
  anyKind(findPaths),
  anyKind(topTokens),
  anyKind(debias),
  anyKind(steerFeature),
  anyKind(featureBaselines),
];
