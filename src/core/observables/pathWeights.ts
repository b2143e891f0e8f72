import { FinalNorm } from '../engine/finalNorm.ts';
import { HeadWeights } from '../engine/headWeights.ts';
import type { ModelRunner } from '../engine/modelRunner.ts';
import type { TensorLocation } from '../models/modelWeights.ts';
import { MlpPullBack } from './mlpPullBack.ts';

/** 128 MiB: an MLP of Pythia-1.4B has as much. */
const KEPT_BYTES = 128 << 20;

/** What was read of the layers that were asked for last. */
class RecentLayers<T> {
  private readonly kept = new Map<number, Promise<T>>();
  private readonly most: number;

  constructor(
    ofLayer: readonly TensorLocation[],
    keptBytes: number,
    private readonly read: (layer: number) => Promise<T>,
  ) {
    const bytes = ofLayer.reduce((sum, { byteLength }) => sum + byteLength, 0);
    this.most = Math.max(1, Math.floor(keptBytes / bytes));
  }

  of(layer: number): Promise<T> {
    const known = this.kept.get(layer);
    if (known === undefined && this.kept.size === this.most) this.kept.delete([...this.kept.keys()][0]);
    this.kept.delete(layer);
    const own = known ?? this.read(layer);
    this.kept.set(layer, own);
    return own;
  }
}

interface HeadsOfLayer {
  readonly weights: HeadWeights;
  /** What they read through. */
  readonly norm: FinalNorm;
}

interface MlpOfLayer {
  readonly mlp: MlpPullBack;
  /** What it reads through. */
  readonly norm: FinalNorm;
}

/** The weights that paths go through, each read from its file once for one piece of work, as far as memory allows. */
export class PathWeights {
  private readonly heads: RecentLayers<HeadsOfLayer>;
  private readonly mlps: RecentLayers<MlpOfLayer>;

  /** @param keptBytes of heads, and of MLPs, at most; but one layer always */
  constructor(runner: ModelRunner, keptBytes = KEPT_BYTES) {
    const { weights, config, files } = runner;
    const [{ attention, mlp }] = weights.blocks;
    const { qkv, out } = attention;
    const values = qkv.kind === 'separate' ? qkv.v : qkv.qkv;
    this.heads = new RecentLayers([values.weight, out.weight], keptBytes, async (layer) => ({
      weights: await HeadWeights.read(runner, layer),
      norm: await FinalNorm.read(config, weights.blocks[layer].norm1, files),
    }));
    const maps = [mlp.in, ...(mlp.gate === null ? [] : [mlp.gate]), mlp.out];
    const read = async (layer: number) => ({
      mlp: await MlpPullBack.read(runner, layer),
      norm: await FinalNorm.read(config, weights.blocks[layer].norm2, files),
    });
    this.mlps = new RecentLayers(
      maps.map(({ weight }) => weight),
      keptBytes,
      read,
    );
  }

  headsOf(layer: number): Promise<HeadsOfLayer> {
    return this.heads.of(layer);
  }

  mlpOf(layer: number): Promise<MlpOfLayer> {
    return this.mlps.of(layer);
  }
}
