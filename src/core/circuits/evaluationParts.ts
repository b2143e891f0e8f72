import { createHash } from 'node:crypto';
import type { CircuitFile, NodeName } from '../../shared/circuit.ts';
import { MechanistError } from '../../shared/errors.ts';
import { type Random, seededRandom } from '../../shared/statistics.ts';
import type { ClimbContext } from '../engine/sweeps/climb.ts';
import type { CircuitEvaluator } from './circuitEvaluator.ts';
import type { Scores } from './circuitMetric.ts';
import { columnsOf, means } from './estimates.ts';
import { parseNodeName } from './nodeNames.ts';
import type { Selection } from './selection.ts';

/** Scores as JSON has them: `[row, answer]`. */
export interface RowScores {
  readonly values: readonly number[];
  readonly correct: readonly number[];
}

/** A mean for each answer, and over them. */
export interface MeanScores {
  readonly answers: readonly number[];
  readonly overall: number;
}

export interface CompletenessSet {
  readonly label: string;
  readonly removed: readonly NodeName[];
  readonly difference: number;
}

/** What the parts of an evaluation leave; JSON throughout, so that they can be run apart and put together later. */
export interface EvaluationParts {
  readonly ends: Readonly<Record<'full' | 'empty' | 'inCircuit' | 'complement', RowScores>>;
  /** The circuit without each of its nodes. */
  readonly minimality: readonly RowScores[];
  readonly roleSets: readonly CompletenessSet[];
  readonly randomSets: readonly CompletenessSet[];
  readonly greedySets: readonly CompletenessSet[];
  /** The first k nodes, k = 0 … nodes. */
  readonly given: readonly RowScores[];
  readonly greedy: { readonly order: readonly NodeName[]; readonly steps: readonly MeanScores[] };
  /** `[draw][k]` */
  readonly orders: readonly (readonly MeanScores[])[];
  readonly random: readonly MeanScores[];
}

export interface PartsOptions {
  readonly seed: number;
  /** Random sets K of the circuit's nodes. */
  readonly randomSets: number;
  /** Nodes that the greedy set K grows to at the most. */
  readonly greedySetSize: number;
}

/** Random numbers for one purpose: the same whatever else was drawn before, and wherever. */
function randomStream(seed: number, purpose: string): Random {
  const digest = createHash('sha256').update(`${seed} ${purpose}`).digest();
  return seededRandom(digest.readUIntBE(0, 6));
}

function asRows({ values, correct }: Scores): RowScores {
  return { values: Array.from(values), correct: Array.from(correct) };
}

/** The parts of one circuit's evaluation. Each is run by itself; costs are in runs of the data through what is not shared. */
export class PartRunner {
  /** Nodes that can be taken out, in the circuit's order. */
  readonly nodes: readonly NodeName[];

  constructor(
    private readonly evaluator: CircuitEvaluator,
    private readonly circuit: CircuitFile,
    private readonly options: PartsOptions,
    private readonly context: ClimbContext,
  ) {
    this.nodes = removableNodes(circuit);
  }

  private async rows(selections: readonly Selection[]): Promise<RowScores[]> {
    return (await this.evaluator.scores(selections, this.context)).map(asRows);
  }

  private async means(selections: readonly Selection[]): Promise<MeanScores[]> {
    const { answerNames } = this.evaluator.task;
    return (await this.evaluator.scores(selections, this.context)).map(({ values }) => {
      const all = means(columnsOf(values, answerNames.length));
      return { answers: all.slice(0, -1), overall: all[answerNames.length] };
    });
  }

  private only(nodes: Iterable<NodeName>): Selection {
    return this.evaluator.space.of(this.circuit, new Set(nodes));
  }

  /** 4 runs. */
  async ends(): Promise<EvaluationParts['ends']> {
    const { space } = this.evaluator;
    const own = space.of(this.circuit);
    const [full, empty, inCircuit, complement] = await this.rows([space.full, space.empty, own, space.complement(own)]);
    return { full, empty, inCircuit, complement };
  }

  /** One run a node. */
  minimality(): Promise<RowScores[]> {
    return this.rows(this.nodes.map((node) => this.only(this.nodes.filter((other) => other !== node))));
  }

  /** One run more than nodes. */
  given(): Promise<RowScores[]> {
    return this.rows(Array.from({ length: this.nodes.length + 1 }, (_, k) => this.only(this.nodes.slice(0, k))));
  }

  /** |M(C∖K) − M(full∖K)| of several sets K: two runs each (Wang et al. 2211.00593, §4.2). */
  private async differences(sets: readonly (readonly NodeName[])[]): Promise<number[]> {
    const { space } = this.evaluator;
    const scores = await this.means(
      sets.flatMap((removed) => [
        this.only(this.nodes.filter((node) => !removed.includes(node))),
        space.without(removed),
      ]),
    );
    return sets.map((_, i) => Math.abs(scores[2 * i].overall - scores[2 * i + 1].overall));
  }

  private async sets(named: readonly { label: string; removed: readonly NodeName[] }[]): Promise<CompletenessSet[]> {
    const differences = await this.differences(named.map(({ removed }) => removed));
    return named.map((set, i) => ({ ...set, difference: differences[i] }));
  }

  /** All nodes of a role, for each role; and no node at all. */
  roleSets(): Promise<CompletenessSet[]> {
    const roles = [...new Set(this.circuit.nodes.flatMap(({ role }) => role ?? []))];
    const of = (role: string) => this.circuit.nodes.filter((node) => node.role === role).map(({ node }) => node);
    const sets = roles.map((role) => ({ label: role, removed: of(role).filter((node) => this.nodes.includes(node)) }));
    return this.sets([{ label: 'nothing', removed: [] }, ...sets]);
  }

  /** Each node with probability ½. */
  randomSets(): Promise<CompletenessSet[]> {
    const random = randomStream(this.options.seed, 'completeness');
    return this.sets(
      Array.from({ length: this.nodes.length === 0 ? 0 : this.options.randomSets }, (_, i) => ({
        label: `random ${i + 1}`,
        removed: this.nodes.filter(() => random.below(2) === 0),
      })),
    );
  }

  /** The set that grows by the node that makes the difference largest, step by step (the same paper's greedy search). */
  async greedySets(): Promise<CompletenessSet[]> {
    const found: CompletenessSet[] = [];
    let removed: readonly NodeName[] = [];
    while (removed.length < Math.min(this.options.greedySetSize, this.nodes.length)) {
      const sets = this.nodes.filter((node) => !removed.includes(node)).map((node) => [...removed, node]);
      const differences = await this.differences(sets);
      const best = differences.indexOf(Math.max(...differences));
      removed = sets[best];
      found.push({ label: `greedy ${removed.length}`, removed, difference: differences[best] });
    }
    return found;
  }

  /** Adds the node that brings the metric furthest towards the full model's, step by step. About nodes² / 2 runs. */
  async greedy(): Promise<EvaluationParts['greedy']> {
    const { space } = this.evaluator;
    const [full, empty] = await this.means([space.full, space.empty]);
    const sign = full.overall < empty.overall ? -1 : 1;
    const order: NodeName[] = [];
    const steps = [empty];
    while (order.length < this.nodes.length) {
      const left = this.nodes.filter((node) => !order.includes(node));
      const scores = await this.means(left.map((node) => this.only([...order, node])));
      const best = scores.reduce((top, { overall }, i) => (sign * overall > sign * scores[top].overall ? i : top), 0);
      order.push(left[best]);
      steps.push(scores[best]);
    }
    return { order, steps };
  }

  /** Nodes added back in random orders `first …`: one run more than nodes for each. */
  async orders(first: number, count: number): Promise<EvaluationParts['orders']> {
    const length = this.nodes.length + 1;
    const selections = Array.from({ length: count }, (_, i) => {
      const order = randomStream(this.options.seed, `order ${first + i}`).permutation(this.nodes.length);
      return Array.from({ length }, (_, k) => this.only(order.slice(0, k).map((node) => this.nodes[node])));
    });
    const scores = await this.means(selections.flat());
    return selections.map((_, i) => scores.slice(i * length, (i + 1) * length));
  }

  /** Random circuits of the same size, draws `first …`: one run each. */
  random(first: number, count: number): Promise<MeanScores[]> {
    const { space } = this.evaluator;
    return this.means(
      Array.from({ length: count }, (_, i) =>
        space.random(this.circuit, randomStream(this.options.seed, `circuit ${first + i}`)),
      ),
    );
  }
}

/** The circuit's nodes but for the ends, which are always there. @throws MechanistError `bad-input` for a node named twice */
export function removableNodes(circuit: CircuitFile): NodeName[] {
  const names = circuit.nodes.map(({ node }) => node);
  const twice = names.find((node, i) => names.indexOf(node) !== i);
  if (twice !== undefined) {
    throw new MechanistError('bad-input', `${twice} stands in the circuit twice. Delete one.`, { node: twice });
  }
  return names.filter((node) => !['emb', 'logits'].includes(parseNodeName(node)?.kind ?? ''));
}
