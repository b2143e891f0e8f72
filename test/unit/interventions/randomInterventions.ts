import { parseHookPoint } from '../../../src/core/engine/hookPoints.ts';
import { type HookAxes, hookAxes } from '../../../src/core/engine/interventions/hookAxes.ts';
import { INTERVENTION_KINDS } from '../../../src/core/engine/interventions/readIntervention.ts';
import type { ModelConfig } from '../../../src/core/models/modelConfig.ts';
import type { Intervention, InterventionKind, InterventionSite, MeanOver } from '../../../src/shared/intervention.ts';
import type { Random } from '../../../src/shared/statistics.ts';

/** Random interventions that fit a model: every kind, with random places and numbers. Takes values of a run `other`. */
export class RandomInterventions {
  constructor(
    private readonly random: Random,
    private readonly config: ModelConfig,
    private readonly batch: number,
    private readonly length: number,
  ) {}

  /** Kinds that can act at a hook. */
  kindsAt(hook: string): InterventionKind[] {
    return INTERVENTION_KINDS.filter((kind) => {
      if (kind === 'editPattern') return hook.endsWith('hook_pattern');
      if (kind === 'lowRank') return hook.endsWith('hook_attn_out') || hook.endsWith('hook_mlp_out');
      // Direction and rows of masked scores make no sense; a norm's scale must stay positive.
      if (hook.endsWith('hook_attn_scores')) return !['projectOut', 'swapPositions'].includes(kind);
      return !hook.endsWith('hook_scale') || !['zero', 'add', 'projectOut'].includes(kind);
    });
  }

  private vector(length: number): number[] {
    return Array.from({ length }, () => this.random.normal());
  }

  /** A few indices, in order, or nothing. */
  private some(of: number): number[] | undefined {
    if (this.random.uniform() < 0.5) return undefined;
    return this.random.permutation(of).slice(0, 1 + this.random.below(Math.min(of, 4)));
  }

  private site(hook: string, axes: HookAxes, kind: InterventionKind): InterventionSite {
    const { random, length } = this;
    const positions = this.some(length)?.map((position) => (random.uniform() < 0.3 ? position - length : position));
    const [items, heads, neurons] = [axes.items, axes.heads, axes.entries].map((axis) =>
      axis === null ? undefined : this.some(axes.dims[axis]),
    );
    const placed = kind === 'swapPositions' || kind === 'editPattern';
    return {
      hook,
      ...(items && { items }),
      ...(heads && { heads }),
      ...(neurons && kind !== 'editPattern' && { neurons }),
      ...(positions && !placed && { positions }),
    };
  }

  /** One intervention of a kind at a hook that has its layer in its name. */
  make(kind: InterventionKind, hook: string): Intervention {
    const { random, batch, length, config } = this;
    const point = parseHookPoint(hook, config);
    const axes = hookAxes(point, config, { batch, length });
    const at = this.site(hook, axes, kind);
    const width = axes.dims[axes.entries];
    const of = random.uniform() < 0.5 ? { of: 'other' } : {};
    switch (kind) {
      case 'zero':
      case 'freeze':
        return kind === 'zero' ? { kind, at } : { kind, at, ...of };
      case 'mean': {
        const kinds: readonly MeanOver[] = hook.endsWith('scores')
          ? ['batch', 'group']
          : ['batch', 'group', 'position', 'all'];
        const over = kinds[random.below(kinds.length)];
        const groups = Array.from({ length: batch }, () => random.below(2));
        return { kind, over, at, ...of, ...(over === 'group' && { groups }) };
      }
      case 'resample':
        return { kind, seed: random.below(1000), at, ...of };
      case 'patch': {
        const items = random.uniform() < 0.5 ? { items: Array.from({ length: batch }, () => random.below(batch)) } : {};
        const positions = at.positions && { positions: at.positions.map(() => random.below(length)) };
        const renormalise = hook.endsWith('pattern') && random.uniform() < 0.5 ? { renormalise: true } : {};
        return {
          kind,
          at,
          from: { run: 'other', ...items, ...(hook.endsWith('scores') ? {} : positions) },
          ...renormalise,
        };
      }
      case 'set':
        return {
          kind,
          at,
          value: random.uniform() < 0.5 ? 1 + random.uniform() : this.vector(width).map((x) => Math.abs(x) + 0.3),
        };
      case 'add':
        return { kind, at, vector: this.vector(width), ...(random.uniform() < 0.5 && { factor: random.normal() }) };
      case 'scale':
        return { kind, at, factor: hook.endsWith('hook_scale') ? 0.5 + random.uniform() : random.normal() };
      case 'projectOut':
        return { kind, at, direction: this.vector(width) };
      case 'swapPositions':
        return {
          kind,
          at,
          pairs: [
            [random.below(length), random.below(length)],
            [random.below(length), -1],
          ],
        };
      case 'editPattern':
        return { kind, at, entries: this.entries(point), ...(random.uniform() < 0.5 && { renormalise: true }) };
      case 'lowRank': {
        const rank = 1 + random.below(3);
        const p =
          random.uniform() < 0.5
            ? random.normal()
            : Array.from({ length: width }, () => this.vector(width).map((x) => x / 4));
        const left = Array.from({ length: width }, () => this.vector(rank));
        const right = Array.from({ length: rank }, () => this.vector(width).map((x) => x / 4));
        return { kind, at, p, a: { left, right }, ...(random.uniform() < 0.5 && { b: this.vector(width) }) };
      }
    }
  }

  /** Entries that the causal mask and the layer's window allow. */
  private entries(point: ReturnType<typeof parseHookPoint>) {
    const window = (point.kind === 'block' ? this.config.attention.windows[point.layer] : null) ?? this.length;
    return Array.from({ length: 3 }, () => {
      const query = this.random.below(this.length);
      const key = query - this.random.below(Math.min(window, query + 1));
      return { query, key, value: 0.1 + this.random.uniform() };
    });
  }
}
