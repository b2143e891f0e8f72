import { concatenate, firstPositions, joinPositions, type KeysValues } from './keysValues.ts';
import type { ModelRunner, RunContext } from './modelRunner.ts';

/** What direct attribution needs of one position: a row of each layer's attention, and what its MLP wrote. */
export interface PositionReadout {
  /** `[layer]` → `[head × d_head]` */
  readonly z: readonly Float32Array[];
  /** `[layer]` → `[head, position + 1]`: the pattern's row over the positions it may read. */
  readonly pattern: readonly Float32Array[];
  /** `[layer]` → `[d_model]` */
  readonly mlpOut: readonly Float32Array[];
}

/** Activations of one prompt. */
export interface PromptActivations {
  readonly tokens: Int32Array;
  /** By layer, batch 1. */
  readonly keysValues: readonly KeysValues[];
  /** resid_pre by layer, `[pos, d_model]`; null where it would fill the cache alone. */
  readonly residuals: readonly Float32Array[] | null;
  /** resid_post of the last layer, `[pos, d_model]`. */
  readonly final: Float32Array;
  readonly readouts: Map<number, PositionReadout>;
  /** resid_mid of the layers that somebody asked for, `[pos, d_model]`. */
  readonly mids: Map<number, Float32Array>;
}

const READOUT_HOOKS = ['attn.hook_pattern', 'attn.hook_z', 'hook_mlp_out'] as const;

function commonPrefix(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const end = Math.min(a.length, b.length);
  let length = 0;
  while (length < end && a[length] === b[length]) length += 1;
  return length;
}

function bytesOf(prompt: PromptActivations): number {
  const arrays = [
    prompt.final,
    ...(prompt.residuals ?? []),
    ...prompt.keysValues.flatMap((kv) => [kv.keys, kv.values]),
    ...prompt.mids.values(),
  ];
  for (const { z, pattern, mlpOut } of prompt.readouts.values()) arrays.push(...z, ...pattern, ...mlpOut);
  return arrays.reduce((sum, array) => sum + array.byteLength, 0);
}

/**
 * Activations of the prompts of one model, least recently used thrown away first. A prompt that begins like a known
 * one costs only the positions after the common beginning, because no position depends on later ones.
 */
export class ActivationCache {
  /** Most recently used last. */
  private readonly entries: PromptActivations[] = [];

  constructor(
    private readonly runner: ModelRunner,
    private readonly limitBytes: number,
  ) {}

  /** Bytes held now. */
  get bytes(): number {
    return this.entries.reduce((sum, entry) => sum + bytesOf(entry), 0);
  }

  clear(): void {
    this.entries.length = 0;
  }

  /**
   * Activations of a prompt, with the readout of `position`. At most one forward pass, over the positions that no
   * known prompt shares (plus one position when that is the only thing missing).
   * @throws MechanistError `cancelled`, `model-corrupt`
   */
  async get(tokens: Int32Array, position: number, context: RunContext): Promise<PromptActivations> {
    let prompt = this.takeExact(tokens);
    if (prompt === null) prompt = await this.extend(tokens, position, context);
    if (!prompt.readouts.has(position))
      prompt.readouts.set(position, await this.readPosition(prompt, position, context));
    this.store(prompt);
    return prompt;
  }

  /** Residual stream at chosen positions: `[nLayers + 1]` → `[positions, d_model]`, embedding first. */
  async residualRows(
    prompt: PromptActivations,
    positions: readonly number[],
    context: RunContext,
  ): Promise<Float32Array[]> {
    const { dModel } = this.runner.config;
    const pick = (x: Float32Array) => concatenate(positions.map((pos) => x.subarray(pos * dModel, (pos + 1) * dModel)));
    if (prompt.residuals !== null) return [...prompt.residuals, prompt.final].map(pick);
    const names = this.layers().map((layer) => `blocks.${layer}.hook_resid_pre`);
    const { activations } = await this.runner.run([prompt.tokens], { hooks: names, positions, ...context });
    return [...names.map((name) => activations.get(name)?.data ?? new Float32Array(0)), pick(prompt.final)];
  }

  /** resid_pre of a layer at every position, `[pos, d_model]`; computed again only when it was too big to keep. */
  async residualBefore(prompt: PromptActivations, layer: number, context: RunContext): Promise<Float32Array> {
    if (prompt.residuals !== null) return prompt.residuals[layer];
    return (await this.runner.run([prompt.tokens], { toLayer: layer, ...context })).residual.data;
  }

  /**
   * resid_mid of a layer at every position, `[pos, d_model]`; resid_pre where attention and MLP are parallel. One run of that block,
   * once for each prompt that is kept.
   */
  async residualMid(prompt: PromptActivations, layer: number, context: RunContext): Promise<Float32Array> {
    const { config } = this.runner;
    if (config.parallelResidual) return this.residualBefore(prompt, layer, context);
    const known = prompt.mids.get(layer);
    if (known !== undefined) return known;
    const name = `blocks.${layer}.hook_resid_mid`;
    const data = await this.residualBefore(prompt, layer, context);
    const residual = { dims: [1, prompt.tokens.length, config.dModel], data };
    const range = { fromLayer: layer, toLayer: layer + 1, residual };
    const { activations } = await this.runner.run([prompt.tokens], { ...context, ...range, hooks: [name] });
    const mid = activations.get(name)?.data ?? new Float32Array(0);
    prompt.mids.set(layer, mid);
    return mid;
  }

  private layers(): number[] {
    return Array.from({ length: this.runner.config.nLayers }, (_, layer) => layer);
  }

  private takeExact(tokens: Int32Array): PromptActivations | null {
    const index = this.entries.findIndex(
      (e) => e.tokens.length === tokens.length && commonPrefix(e.tokens, tokens) === tokens.length,
    );
    return index < 0 ? null : this.entries.splice(index, 1)[0];
  }

  /** The entry that shares most with the tokens. */
  private nearest(tokens: Int32Array): { entry: PromptActivations | null; shared: number } {
    let best: { entry: PromptActivations | null; shared: number } = { entry: null, shared: 0 };
    for (const entry of this.entries) {
      const shared = commonPrefix(entry.tokens, tokens);
      if (shared > best.shared) best = { entry, shared };
    }
    return best;
  }

  private async extend(tokens: Int32Array, position: number, context: RunContext): Promise<PromptActivations> {
    const { config, blocks } = this.runner;
    const { entry, shared } = this.nearest(tokens);
    const past = entry === null ? null : entry.keysValues.map((kv) => firstPositions(kv, shared, config));
    const count = tokens.length - shared;
    const keepResiduals = this.keepsResiduals(tokens.length) && (entry === null || entry.residuals !== null);
    const before = (x: Float32Array | undefined) => x?.subarray(0, shared * config.dModel) ?? new Float32Array(0);
    if (count === 0 && entry !== null && past !== null) {
      // A shorter beginning of a known prompt: nothing to compute.
      const residuals = keepResiduals ? (entry.residuals?.map((x) => before(x).slice()) ?? null) : null;
      return {
        tokens,
        keysValues: past,
        residuals,
        final: before(entry.final).slice(),
        readouts: new Map(),
        mids: new Map(),
      };
    }
    const x = await this.embed(tokens.subarray(shared), shared);
    const result = await blocks.forward({
      ...context,
      ...{ x, batch: 1, count, start: shared, fromLayer: 0, toLayer: config.nLayers },
      past: past === null ? undefined : (layer) => past[layer],
      reads: this.readPlan(position - shared),
      keepKeysValues: true,
      keepResiduals,
    });
    const prompt = {
      tokens,
      keysValues: result.keysValues.map((kv, layer) => (past === null ? kv : joinPositions(past[layer], kv, config))),
      residuals: keepResiduals
        ? result.residuals.map((part, layer) => concatenate([before(entry?.residuals?.[layer]), part]))
        : null,
      final: concatenate([before(entry?.final), result.x]),
      readouts: new Map<number, PositionReadout>(),
      mids: new Map<number, Float32Array>(),
    };
    if (position >= shared) prompt.readouts.set(position, this.readout(result.reads, position, tokens.length));
    return prompt;
  }

  private async embed(tokens: Int32Array, start: number): Promise<Float32Array> {
    const { tokens: embedded, positions } = await this.runner.embed([tokens], start);
    return positions === null ? embedded : embedded.map((value, i) => value + positions[i]);
  }

  private keepsResiduals(length: number): boolean {
    const { nLayers, dModel, nKeyValueHeads, dHead } = this.runner.config;
    const numbers = length * (nLayers * (dModel + 2 * nKeyValueHeads * dHead) + dModel);
    return numbers * Float32Array.BYTES_PER_ELEMENT <= this.limitBytes;
  }

  private readPlan(row: number) {
    if (row < 0) return undefined;
    return { hooks: new Map(this.layers().map((layer) => [layer, READOUT_HOOKS])), rows: Int32Array.of(row) };
  }

  private readout(reads: { get: ReadsOf }, position: number, keys: number): PositionReadout {
    const { nHeads } = this.runner.config;
    const row = (layer: number) => {
      const { data } = reads.get(layer, 'attn.hook_pattern');
      const heads = Array.from({ length: nHeads }, (_, head) => data.subarray(head * keys, head * keys + position + 1));
      return concatenate(heads);
    };
    return {
      z: this.layers().map((layer) => reads.get(layer, 'attn.hook_z').data),
      pattern: this.layers().map(row),
      mlpOut: this.layers().map((layer) => reads.get(layer, 'hook_mlp_out').data),
    };
  }

  /** One position of a known prompt again, with its row of attention read. */
  private async readPosition(
    prompt: PromptActivations,
    position: number,
    context: RunContext,
  ): Promise<PositionReadout> {
    const { config, blocks } = this.runner;
    const { reads } = await blocks.forward({
      ...context,
      x: await this.embed(prompt.tokens.subarray(position, position + 1), position),
      ...{ batch: 1, count: 1, start: position, fromLayer: 0, toLayer: config.nLayers },
      past: (layer) => firstPositions(prompt.keysValues[layer], position, config),
      reads: this.readPlan(0),
    });
    return this.readout(reads, position, position + 1);
  }

  private store(prompt: PromptActivations): void {
    if (bytesOf(prompt) > this.limitBytes) return;
    this.entries.push(prompt);
    while (this.bytes > this.limitBytes) this.entries.shift();
  }
}

type ReadsOf = (layer: number, hook: (typeof READOUT_HOOKS)[number]) => { readonly data: Float32Array };
