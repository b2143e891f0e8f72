import type { Intervention } from '../../shared/intervention.ts';
import type { PackedArray } from '../../shared/packedArray.ts';
import { dotAt } from '../analyses/analysisContext.ts';
import { type HookPoint, hookName, parseHookPoint } from '../engine/hookPoints.ts';
import type { ModelRunner } from '../engine/modelRunner.ts';
import { length } from './vectors.ts';

/** A change of the residual stream along one direction, at some tokens of each prompt of a batch. */
export interface StreamEdit {
  /** `set`: the part along the direction becomes the amount, so that 0 projects it out. `add`: the amount is added. */
  readonly kind: 'set' | 'add';
  /** One a prompt, in lengths of the unit direction. */
  readonly amounts: readonly number[];
  /** Positions of each prompt. */
  readonly positions: readonly (readonly number[])[];
}

/** A batch as the model runs it unchanged. */
export interface UneditedRun {
  readonly tokens: readonly ArrayLike<number>[];
  /** Stream at the hook, `[batch, pos, d_model]`. */
  readonly stream: Float32Array;
  /** resid_post of the last layer, `[batch, pos, d_model]`. */
  readonly final: Float32Array;
}

/**
 * Unedited runs that are kept, with the stream at several hooks: layers that are edited one after another share one forward pass of
 * each batch.
 */
export class KeptStreams {
  private readonly kept = new Map<
    string,
    { readonly streams: ReadonlyMap<string, PackedArray>; readonly final: Float32Array }
  >();

  /** @param hooks by their TransformerLens names */
  constructor(
    private readonly runner: ModelRunner,
    private readonly hooks: readonly string[],
  ) {}

  async run(tokens: readonly ArrayLike<number>[], hook: string, signal?: AbortSignal): Promise<UneditedRun> {
    const key = tokens.map((ids) => Array.from(ids).join()).join(';');
    let found = this.kept.get(key);
    if (found === undefined) {
      const { activations, residual } = await this.runner.run(tokens, { hooks: this.hooks, signal });
      found = { streams: activations, final: residual.data };
      this.kept.set(key, found);
    }
    const stream = found.streams.get(hook);
    if (stream === undefined) throw new Error(`${hook} is not among the hooks that are kept.`);
    return { tokens, stream: stream.data, final: found.final };
  }
}

/**
 * Runs prompts with the residual stream changed along a direction at one hook (`hook_resid_pre` or `hook_resid_mid`). At resid_pre only
 * the layers from there on are run; at resid_mid, prompt by prompt, all.
 */
export class StreamEditor {
  /** `[d_model]`, length 1. */
  readonly unit: Float64Array;
  private readonly point: HookPoint & { readonly kind: 'block' };

  /** @throws MechanistError `bad-input` for a hook that the model has not */
  constructor(
    private readonly runner: ModelRunner,
    hook: string,
    vector: ArrayLike<number>,
    private readonly signal?: AbortSignal,
    private readonly kept?: KeptStreams,
  ) {
    const point = parseHookPoint(hook, runner.config);
    if (point.kind !== 'block') throw new Error(`${hook} is no hook of a block.`);
    this.point = point;
    const size = length(vector);
    this.unit = Float64Array.from(vector, (value) => value / size);
  }

  private get width(): number {
    return this.runner.config.dModel;
  }

  async unedited(tokens: readonly ArrayLike<number>[]): Promise<UneditedRun> {
    const hook = hookName(this.point);
    if (this.kept !== undefined) return await this.kept.run(tokens, hook, this.signal);
    const { activations, residual } = await this.runner.run(tokens, { hooks: [hook], signal: this.signal });
    return { tokens, stream: (activations.get(hook) as PackedArray).data, final: residual.data };
  }

  /** x · v for unit v, at a position of a prompt of the batch. */
  coefficient({ tokens, stream }: UneditedRun, item: number, position: number): number {
    return dotAt(stream, (item * tokens[0].length + position) * this.width, this.unit, this.width);
  }

  /** resid_post of the last layer after the edit, `[batch, pos, d_model]`. */
  async edited(run: UneditedRun, edit: StreamEdit): Promise<Float32Array> {
    return this.point.hook === 'hook_resid_pre' ? await this.fromHere(run, edit) : await this.byIntervention(run, edit);
  }

  private async fromHere(run: UneditedRun, { kind, amounts, positions }: StreamEdit): Promise<Float32Array> {
    const { tokens } = run;
    const data = run.stream.slice();
    positions.forEach((own, item) => {
      for (const position of own) {
        const change = amounts[item] - (kind === 'set' ? this.coefficient(run, item, position) : 0);
        const start = (item * tokens[0].length + position) * this.width;
        for (let i = 0; i < this.width; i += 1) data[start + i] += change * this.unit[i];
      }
    });
    const residual = { dims: [tokens.length, tokens[0].length, this.width], data };
    return (await this.runner.run(tokens, { residual, fromLayer: this.point.layer, signal: this.signal })).residual
      .data;
  }

  private async byIntervention(
    { tokens }: UneditedRun,
    { kind, amounts, positions }: StreamEdit,
  ): Promise<Float32Array> {
    const size = tokens[0].length * this.width;
    const all = new Float32Array(tokens.length * size);
    const vector = [...this.unit];
    for (const [item, own] of tokens.entries()) {
      const at = { hook: hookName(this.point), positions: positions[item] };
      const interventions: Intervention[] = [
        ...(kind === 'set' ? [{ at, kind: 'projectOut' as const, direction: vector }] : []),
        { at, kind: 'add', vector, factor: amounts[item] },
      ];
      const { residual } = await this.runner.runWith([own], { interventions, signal: this.signal });
      all.set(residual.data, item * size);
    }
    return all;
  }

  /** Logits of the whole vocabulary at one position of each prompt, `[batch, d_vocab]`. */
  async logitsAt(final: Float32Array, count: number, positions: readonly number[]): Promise<Float32Array> {
    const size = final.length / count;
    const rows = new Float32Array(count * this.width);
    positions.forEach((position, item) => {
      const start = item * size + position * this.width;
      rows.set(final.subarray(start, start + this.width), item * this.width);
    });
    return (await this.runner.unembedding.logits(this.runner.finalNorm.apply(rows), undefined, this.signal)).data;
  }
}
