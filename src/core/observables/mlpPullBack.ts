import type { ModelRunner } from '../engine/modelRunner.ts';
import { type ActivationFunction, activationFunction } from './activations.ts';
import { LinearMap } from './linearMap.ts';
import type { PulledBack } from './normPullBack.ts';
import { midpoints, type SegmentRoot, segmentRoot } from './segment.ts';
import { between, dot, plus } from './vectors.ts';

/** What stands before the activation, by branch. `[d_mlp]` each; `gate` is null for a plain MLP. */
interface Branches {
  readonly plain: Float64Array;
  readonly gate: Float64Array | null;
}

/** g(z) = y · MLP(z) along one direction y, z the normed input. */
class MlpAlong {
  /** W_out y `[d_mlp]`: what each neuron writes along y. */
  private readonly written: Float64Array;
  /** y · b_out */
  private readonly bias: number;

  constructor(
    private readonly maps: MlpMaps,
    y: Float64Array,
  ) {
    const { out } = maps;
    this.written = out.back(y);
    this.bias = out.bias === null ? 0 : dot(y, out.bias);
  }

  /** What stands before the activation: affine in z, so that a segment stays one. */
  before(z: Float64Array): Branches {
    const { plain, gate } = this.maps;
    return { plain: plain.forward(z), gate: gate?.forward(z) ?? null };
  }

  value({ plain, gate }: Branches): number {
    const { act } = this.maps;
    let sum = this.bias;
    for (let i = 0; i < plain.length; i += 1) {
      const post = gate === null ? act.value(plain[i]) : act.value(gate[i]) * plain[i];
      sum += this.written[i] * post;
    }
    return sum;
  }

  /** ∂ g / ∂ each branch. */
  slopes({ plain, gate }: Branches): Branches {
    const { act } = this.maps;
    if (gate === null) {
      return { plain: plain.map((pre, i) => this.written[i] * act.slope(pre)), gate: null };
    }
    return {
      plain: gate.map((pre, i) => this.written[i] * act.value(pre)),
      gate: gate.map((pre, i) => this.written[i] * act.slope(pre) * plain[i]),
    };
  }

  /** ∂ g / ∂ z from the slopes. `[d_model]` */
  gradient(slopes: Branches): Float64Array {
    const { plain, gate } = this.maps;
    const own = plain.back(slopes.plain);
    return gate === null || slopes.gate === null ? own : plus(own, gate.back(slopes.gate));
  }
}

interface MlpMaps {
  readonly plain: LinearMap;
  readonly gate: LinearMap | null;
  readonly out: LinearMap;
  readonly act: ActivationFunction;
}

function betweenBranches(from: Branches, to: Branches, t: number): Branches {
  const gate = from.gate === null || to.gate === null ? null : between(from.gate, to.gate, t);
  return { plain: between(from.plain, to.plain, t), gate };
}

/** A direction behind an MLP, taken back to its normed input by the gradient there. */
export interface MlpPulledBack extends PulledBack {
  /** Where the gradient was taken, for a point on the segment of a pair. */
  readonly root?: SegmentRoot;
}

/**
 * One layer's MLP as a function of a single row, in float64: g(z) = y · MLP(z), output bias included, and its first-order form
 * g(z0) + ∇g(z0) · (z − z0). Gated MLPs by the product rule over both branches. Source: Dunefsky and Cohan 2024, §2.
 */
export class MlpPullBack {
  private constructor(private readonly maps: MlpMaps) {}

  static async read({ files, weights, config }: ModelRunner, layer: number): Promise<MlpPullBack> {
    const { in: plain, gate, out } = weights.blocks[layer].mlp;
    return new MlpPullBack({
      plain: await LinearMap.read(files, plain),
      gate: gate === null ? null : await LinearMap.read(files, gate),
      out: await LinearMap.read(files, out),
      act: activationFunction(config.mlp.activation),
    });
  }

  /** y · MLP(z) */
  value(y: Float64Array, z: Float64Array): number {
    const along = new MlpAlong(this.maps, y);
    return along.value(along.before(z));
  }

  /** The gradient at z. */
  at(y: Float64Array, z: Float64Array): MlpPulledBack {
    const along = new MlpAlong(this.maps, y);
    const before = along.before(z);
    const vector = along.gradient(along.slopes(before));
    return { vector, offset: along.value(before) - dot(vector, z) };
  }

  /** The gradient where g is 0 between the inputs of a pair; see `segmentRoot` for g of one sign. */
  boundary(y: Float64Array, from: Float64Array, to: Float64Array): MlpPulledBack {
    const along = new MlpAlong(this.maps, y);
    const ends = [along.before(from), along.before(to)] as const;
    const root = segmentRoot((t) => along.value(betweenBranches(...ends, t)));
    const before = betweenBranches(...ends, root.t);
    const vector = along.gradient(along.slopes(before));
    return { vector, offset: along.value(before) - dot(vector, between(from, to, root.t)), root };
  }

  /** The mean of the gradients between the inputs of a pair: vector · (to − from) = g(to) − g(from). */
  mean(y: Float64Array, from: Float64Array, to: Float64Array): MlpPulledBack {
    const along = new MlpAlong(this.maps, y);
    const ends = [along.before(from), along.before(to)] as const;
    const points = midpoints();
    const zero = () => new Float64Array(ends[0].plain.length);
    let sums: Branches = { plain: zero(), gate: ends[0].gate === null ? null : zero() };
    for (const t of points) {
      const own = along.slopes(betweenBranches(...ends, t));
      const gate = sums.gate === null || own.gate === null ? null : plus(sums.gate, own.gate, 1 / points.length);
      sums = { plain: plus(sums.plain, own.plain, 1 / points.length), gate };
    }
    const vector = along.gradient(sums);
    const values = ends.map((before) => along.value(before));
    return { vector, offset: (values[0] + values[1] - dot(vector, from) - dot(vector, to)) / 2 };
  }
}
