import { MechanistError } from '../../../shared/errors.ts';
import type { PackedArray } from '../../../shared/packedArray.ts';
import { hookName } from '../hookPoints.ts';
import type { KeysValues } from '../keysValues.ts';
import type { ModelRunner, RunContext } from '../modelRunner.ts';
import { checkTokens, parseHooks } from '../runChecks.ts';

/** A run without interventions from which others can go on: only what they change is computed again. */
export interface CleanRun {
  readonly tokens: readonly ArrayLike<number>[];
  readonly batch: number;
  readonly length: number;
  /** resid_pre by layer, then resid_post of the last layer: `nLayers + 1` arrays `[batch, pos, d_model]`. */
  readonly residuals: readonly Float32Array[];
  /** Keys and values by layer. */
  readonly keysValues: readonly KeysValues[];
  /** The hooks that were asked for, at all positions. */
  readonly activations: ReadonlyMap<string, PackedArray>;
}

/**
 * Runs a batch without interventions and keeps what later runs can start from. One forward pass; holds
 * `batch · pos · (nLayers + 1) · d_model` numbers, and keys and values.
 * @throws MechanistError as `ModelRunner.run`
 */
export async function recordCleanRun(
  runner: ModelRunner,
  tokens: readonly ArrayLike<number>[],
  options: RunContext & { readonly hooks?: readonly string[] } = {},
): Promise<CleanRun> {
  const { config } = runner;
  const length = checkTokens(config, tokens);
  const hooks = parseHooks(config, { hooks: options.hooks });
  if (hooks.globals.length > 0) {
    throw new MechanistError('bad-input', `A clean run records hooks of blocks only, not ${hooks.globals[0]}.`);
  }
  const { tokens: embedded, positions } = await runner.embed(tokens);
  const x = positions === null ? embedded : embedded.map((value, i) => value + positions[i]);
  const { signal, onProgress } = options;
  const result = await runner.blocks.forward({
    ...{ x, batch: tokens.length, count: length, start: 0, fromLayer: 0, toLayer: config.nLayers },
    reads: { hooks: hooks.blocks, rows: Int32Array.from({ length }, (_, i) => i) },
    ...{ keepKeysValues: true, keepResiduals: true, signal, onProgress },
  });
  const names = [...hooks.blocks].flatMap(([layer, own]) => own.map((hook) => ({ layer, hook })));
  return {
    ...{ tokens, batch: tokens.length, length, keysValues: result.keysValues },
    residuals: [...result.residuals, result.x],
    activations: new Map(
      names.map(({ layer, hook }) => [hookName({ kind: 'block', layer, hook }), result.reads.get(layer, hook)]),
    ),
  };
}
