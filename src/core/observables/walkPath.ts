import { throwIfCancelled } from '../../shared/errors.ts';
import { type LinearisationPoint, type NormMode, type PathNode, turnsFar } from '../../shared/features.ts';
import { signed } from '../../shared/format.ts';
import type { FinalNorm } from '../engine/finalNorm.ts';
import { hookName } from '../engine/hookPoints.ts';
import { pathNodeName } from '../tasks/pathText.ts';
import { checkReads } from '../tasks/resolvePath.ts';
import type { MlpPullBack } from './mlpPullBack.ts';
import {
  meanPullBack,
  type NormAngle,
  normAngle,
  type PulledBack,
  pullBackNorm,
  type StreamObservable,
  streamValue,
} from './normPullBack.ts';
import { PathWeights } from './pathWeights.ts';
import type { FeatureContext, PromptReader } from './promptReader.ts';
import { segmentRoot } from './segment.ts';
import { between, dot } from './vectors.ts';

/** A norm that was passed, and how far its scale turns the direction at the linearisation point. */
export interface PassedNorm extends NormAngle {
  /** `ln_final`, `blocks.3.ln1` */
  readonly norm: string;
}

/** A node of a path with what it is read along. */
export interface WalkedNode {
  /** With its token. */
  readonly node: PathNode & { readonly position: number };
  /** The token at which it writes. */
  readonly writesAt: number;
  /** What its output is read along, norms in between folded in. `[d_model]` */
  readonly direction: Float64Array;
}

/** A path gone through from the logits to the input of its last node. */
export interface Walk {
  readonly nodes: readonly WalkedNode[];
  /** `[d_model]`, at `hook`. */
  readonly vector: Float64Array;
  readonly offset: number;
  readonly hook: string;
  readonly norms: readonly PassedNorm[];
  readonly warnings: readonly string[];
}

/** Raw inputs of a norm or an MLP in the two prompts of a pair. */
interface RowPair {
  readonly prompt: Float64Array;
  readonly partner: Float64Array | null;
}

interface WalkOptions {
  readonly norm: NormMode;
  readonly point: LinearisationPoint;
  /** Where the observable is read. */
  readonly position: number;
}

const same = (a: Float64Array, b: Float64Array) => a.every((value, i) => value === b[i]);

/** Goes through one path; made anew for each. */
export class PathWalker {
  private readonly norms: PassedNorm[] = [];
  private readonly warnings: string[] = [];
  private readonly weights: PathWeights;
  private offset = 0;

  constructor(
    private readonly context: FeatureContext,
    private readonly prompt: PromptReader,
    private readonly partner: PromptReader | null,
    private readonly options: WalkOptions,
  ) {
    this.weights = context.pathWeights ?? new PathWeights(context.runner);
  }

  /**
   * @param observable n at the logits
   * @param nodes nearest the logits first; a head's null position is chosen by the prompt
   * @throws MechanistError `bad-input` where a written token does not fit the one that the prompt chose
   */
  async walk(observable: StreamObservable, nodes: readonly PathNode[]): Promise<Walk> {
    const { runner, signal } = this.context;
    let at = this.options.position;
    const final = this.rows((reader) => reader.final(at));
    let vector = this.passFinal(observable, await final);
    const walked: WalkedNode[] = [];
    let hook = '';
    for (const node of nodes) {
      throwIfCancelled(signal);
      const writesAt = at;
      const along = vector;
      at = await this.positionOf(node, along, at);
      checkReads(node, writesAt, at);
      walked.push({ node: { ...node, position: at }, writesAt, direction: along });
      if (node.kind === 'head') vector = await this.passHead(node.layer, node.head, along, at);
      else if (node.kind === 'mlp') vector = await this.passMlp(node.layer, along, at);
      const mid = node.kind === 'mlp' && !runner.config.parallelResidual;
      const layer = node.kind === 'embedding' ? 0 : node.layer;
      hook = hookName({ kind: 'block', layer, hook: mid ? 'hook_resid_mid' : 'hook_resid_pre' });
    }
    const { norms, warnings, offset } = this;
    return { nodes: walked, vector, offset, hook, norms, warnings };
  }

  private async rows(read: (reader: PromptReader) => Float64Array | Promise<Float64Array>): Promise<RowPair> {
    return { prompt: await read(this.prompt), partner: this.partner === null ? null : await read(this.partner) };
  }

  /** The token that a node reads: a head's most contributing source where the path names none. */
  private async positionOf(node: PathNode, along: Float64Array, query: number): Promise<number> {
    if (node.position !== null) return node.position;
    if (node.kind !== 'head') return query;
    const { layer, head } = node;
    const { weights } = await this.weights.headsOf(layer);
    const read = weights.readBy(head, along);
    const attention = await this.prompt.attention(layer, head, query);
    const sizes = Array.from(attention, (share, source) =>
      Math.abs(share * dot(read, this.prompt.value(layer, head, source))),
    );
    return sizes.indexOf(Math.max(...sizes));
  }

  private passFinal(observable: StreamObservable, at: RowPair): Float64Array {
    const { finalNorm } = this.context.runner;
    const { direction: n } = observable;
    this.offset += observable.bias;
    if (this.options.point !== 'boundary' || at.partner === null) return this.passNorm('ln_final', finalNorm, n, at);
    const [from, to] = [at.partner, at.prompt];
    const root = segmentRoot((t) => streamValue(finalNorm, observable, between(from, to, t)));
    if (root.target !== 0) {
      const [partner, prompt] = root.ends.map(signed);
      const words = `Both prompts of the pair give the observable the same sign, ${prompt} and ${partner}: there is no decision boundary between them.`;
      this.warnings.push(`${words} The final norm is linearised where the observable is ${signed(root.target)}.`);
    }
    return this.passNorm('ln_final', finalNorm, n, { prompt: between(from, to, root.t), partner: null });
  }

  /** At a single point, or by the mean over a segment. */
  private passNorm(name: string, norm: FinalNorm, n: Float64Array, { prompt, partner }: RowPair): Float64Array {
    const { norm: mode, point } = this.options;
    const middle = partner === null ? prompt : between(partner, prompt, 0.5);
    // The norms of blocks have no boundary of their own: they are linearised in the middle of the pair.
    const where = point === 'prompt' ? prompt : middle;
    const pulled: PulledBack =
      point === 'mean' && partner !== null
        ? meanPullBack(norm, n, mode, partner, prompt)
        : pullBackNorm(norm, n, mode, where);
    this.offset += pulled.offset;
    const passed = { norm: name, ...normAngle(norm, n, where) };
    this.norms.push(passed);
    this.warnOfNorm(passed, pulled.vector);
    return pulled.vector;
  }

  private warnOfNorm({ norm, rho, angle }: PassedNorm, vector: Float64Array): void {
    if (!vector.every(Number.isFinite)) {
      this.warnings.push(`The secant of ${norm} is not defined there: the direction is orthogonal to its input.`);
    }
    if (!turnsFar(rho)) return;
    const degrees = ((angle * 180) / Math.PI).toFixed(1);
    const words = `At ${norm} ρ is ${signed(rho)}: its scale turns the gradient by ${degrees}° from the direction`;
    const advice =
      norm === 'ln_final' && this.options.point === 'prompt' ? '; at the boundary of a pair it does not' : '';
    this.warnings.push(`${words}${advice}.`);
  }

  private async passHead(layer: number, head: number, along: Float64Array, at: number): Promise<Float64Array> {
    const { weights, norm } = await this.weights.headsOf(layer);
    const { vector, offset } = weights.pullBack(head, along);
    this.offset += offset;
    return this.passNorm(`blocks.${layer}.ln1`, norm, vector, await this.rows((reader) => reader.before(layer, at)));
  }

  private async passMlp(layer: number, along: Float64Array, at: number): Promise<Float64Array> {
    const { mlp, norm } = await this.weights.mlpOf(layer);
    const raw = await this.rows((reader) => reader.mid(layer, at));
    const z = norm.normed(raw.prompt);
    const other = raw.partner === null ? null : norm.normed(raw.partner);
    const { vector, offset } = this.pullBackMlp(mlp, layer, along, z, other, at);
    this.offset += offset;
    return this.passNorm(`blocks.${layer}.ln2`, norm, vector, raw);
  }

  private pullBackMlp(
    mlp: MlpPullBack,
    layer: number,
    along: Float64Array,
    z: Float64Array,
    other: Float64Array | null,
    at: number,
  ): PulledBack {
    const { point } = this.options;
    const name = `${pathNodeName({ kind: 'mlp', layer, position: at })} at token ${at + 1}`;
    if (point === 'prompt' || other === null) return mlp.at(along, z);
    if (same(z, other)) {
      this.warnings.push(`Both prompts of the pair are the same before ${name}: it is linearised there.`);
      return mlp.at(along, z);
    }
    if (point === 'mean') return mlp.mean(along, other, z);
    const pulled = mlp.boundary(along, other, z);
    if (pulled.root !== undefined && pulled.root.target !== 0) {
      const [partner, prompt] = pulled.root.ends.map(signed);
      const words = `${name} writes ${prompt} and ${partner} along the path in the two prompts, one sign`;
      this.warnings.push(
        `${words}: it is linearised where it writes ${signed(pulled.root.target)}, not at a boundary.`,
      );
    }
    return pulled;
  }
}
