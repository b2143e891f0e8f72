import type { ObservableSpec } from '../../../shared/engineProtocol.ts';
import { MechanistError } from '../../../shared/errors.ts';
import type { StepContext } from '../../experiments/stepKind.ts';
import { requirePath } from '../../tasks/resolvePath.ts';
import type { MapNumbers, MapReach } from '../headsMap.ts';
import { reachOf } from '../nodeReaders.ts';
import type { PatchDirection } from '../totalEffects.ts';

export interface HeadsMapParams {
  readonly observable: string | ObservableSpec;
  readonly under?: string;
  readonly corruption?: string;
  readonly total?: PatchDirection;
  readonly top?: number;
}

/** What the cell of weights leaves. */
export interface NormCell {
  /** `[layer][head]` */
  readonly norms: readonly (readonly number[])[];
}

/** What a cell of rows leaves; `[row]` everywhere, in logits. */
export interface MapCell extends MapNumbers {
  /** What the parts sum up to with the constant. */
  readonly clean: readonly number[];
  readonly corrupted: readonly number[];
  /** What no part writes: biases of the final norm and the unembedding. The same for every row. */
  readonly constant: number;
}

/** Heads and MLPs that the map shows. */
export function reachOfMap(context: StepContext, { under, total }: HeadsMapParams): MapReach {
  const { nLayers, nHeads, parallelResidual } = context.model.config;
  if (under === undefined) return { headLayers: nLayers, mlpLayers: nLayers };
  if (total !== undefined) {
    throw new MechanistError(
      'bad-input',
      'total: is of heads in the whole model: leave it out under a path, or leave out under:.',
    );
  }
  const sizes = { nLayers, nHeads, parallelResidual };
  const nodes = requirePath(under, { sizes, roles: context.task.roles });
  const reach = reachOf(nodes[nodes.length - 1].node, parallelResidual);
  if (reach.headLayers > 0) return reach;
  throw new MechanistError('bad-input', `No head writes to what ${under} reads: end the path at a later layer.`);
}
