import { MechanistError } from '../../shared/errors.ts';
import type { ModelConfig } from '../models/modelConfig.ts';
import { type BlockHook, type GlobalHook, hookName, parseHookPoint } from './hookPoints.ts';
import type { RunOptions } from './modelRunner.ts';

/** Plan of a run after its names have been read. */
export interface ParsedHooks {
  readonly blocks: ReadonlyMap<number, readonly BlockHook[]>;
  readonly globals: readonly GlobalHook[];
}

/** Reads the names of hooks and checks that the run reaches them. */
export function parseHooks(config: ModelConfig, options: RunOptions): ParsedHooks {
  const { fromLayer = 0, toLayer = config.nLayers, residual } = options;
  if (
    !Number.isInteger(fromLayer) ||
    !Number.isInteger(toLayer) ||
    fromLayer < 0 ||
    toLayer > config.nLayers ||
    fromLayer > toLayer
  ) {
    throw new MechanistError('bad-input', `Layers ${fromLayer} to ${toLayer} are outside 0 to ${config.nLayers}.`);
  }
  if (fromLayer > 0 && residual === undefined) {
    throw new MechanistError('bad-input', `A run from layer ${fromLayer} needs the residual stream before that layer.`);
  }
  const blocks = new Map<number, BlockHook[]>();
  const globals: GlobalHook[] = [];
  for (const name of options.hooks ?? []) {
    const point = parseHookPoint(name, config);
    const outside =
      point.kind === 'block'
        ? point.layer < fromLayer || point.layer >= toLayer
        : point.hook.startsWith('ln_final')
          ? toLayer < config.nLayers
          : residual !== undefined;
    if (outside) {
      throw new MechanistError(
        'bad-input',
        `${hookName(point)} is not reached by a run of layers ${fromLayer} to ${toLayer - 1}.`,
      );
    }
    if (point.kind === 'global') globals.push(point.hook);
    else blocks.set(point.layer, [...(blocks.get(point.layer) ?? []), point.hook]);
  }
  return { blocks, globals };
}

/** The common number of tokens of a batch. */
export function checkTokens(config: ModelConfig, tokens: readonly ArrayLike<number>[]): number {
  const length = tokens[0]?.length ?? 0;
  if (length === 0) throw new MechanistError('prompt-empty', 'The prompt is empty. Write at least one token.');
  if (tokens.some((row) => row.length !== length)) {
    throw new MechanistError('bad-input', 'Prompts of one batch must have the same number of tokens.');
  }
  if (length > config.nCtx) {
    throw new MechanistError(
      'prompt-too-long',
      `The prompt has ${length} tokens; the model's context holds ${config.nCtx}.`,
    );
  }
  return length;
}

/** Positions to read, from the start; all by default. */
export function checkPositions(positions: readonly number[] | undefined, length: number): Int32Array {
  if (positions === undefined) return Int32Array.from({ length }, (_, i) => i);
  return Int32Array.from(positions, (position) => resolvePosition(position, length));
}

/** The residual stream to start from. */
export function checkResidual(
  config: ModelConfig,
  { residual }: RunOptions,
  batch: number,
  length: number,
): Float32Array {
  const dims = [batch, length, config.dModel];
  if (residual === undefined || residual.dims.join() !== dims.join()) {
    throw new MechanistError(
      'bad-input',
      `The residual stream must have shape [${dims.join(', ')}], not [${residual?.dims.join(', ')}].`,
    );
  }
  return residual.data;
}

/**
 * A position counted from the start; negative ones count from the end.
 * @throws MechanistError `bad-input`, its data are `position` and the prompt's `length`
 */
export function resolvePosition(position: number, length: number): number {
  const resolved = position < 0 ? length + position : position;
  if (!Number.isInteger(resolved) || resolved < 0 || resolved >= length) {
    throw new MechanistError(
      'bad-input',
      `Position ${position} is outside the prompt: it has ${length} tokens (0 to ${length - 1}).`,
      { position, length },
    );
  }
  return resolved;
}
