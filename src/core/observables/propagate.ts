import type { TraceRequest } from '../../shared/engineProtocol.ts';
import { signed } from '../../shared/format.ts';
import type { DirectAttribution, PropagationDetail } from '../../shared/traceDocument.ts';
import { dotAt } from '../analyses/analysisContext.ts';
import type { PromptActivations } from '../engine/activationCache.ts';
import type { ResolvedObservable } from '../tasks/observable.ts';
import { printPath } from '../tasks/pathText.ts';
import { walkFeature } from './featureVector.ts';
import { type FeatureContext, PromptReader, sharingWeights } from './promptReader.ts';
import { dot } from './vectors.ts';
import type { WalkedNode } from './walkPath.ts';

/** Largest error of the sum over tokens, relative to the largest part, that float32 explains. */
const SUM_TOLERANCE = 1e-4;

/** The head that adds most to the observable, or takes most from it. */
function largestHead({ heads }: DirectAttribution): string {
  let best = { layer: 0, head: 0, size: -1 };
  heads.forEach((row, layer) => {
    row.forEach((value, head) => {
      if (Math.abs(value) > best.size) best = { layer, head, size: Math.abs(value) };
    });
  });
  return `L${best.layer}.H${best.head}`;
}

/** What each token adds through the path, `[pos]`, and what the last node adds in all. */
interface Contributions {
  readonly attention: number[];
  readonly contributions: number[];
  readonly whole: number;
}

/** Attention paid along a path, and what comes through it, one token of the last node's after another. */
class PathContributions {
  constructor(
    private readonly context: ReturnType<typeof sharingWeights>,
    private readonly prompt: PromptReader,
  ) {}

  /** @param nodes with directions of frozen norm scales */
  async of(nodes: readonly WalkedNode[]): Promise<Contributions> {
    const last = nodes[nodes.length - 1];
    const path = nodes.slice(0, -1).map(({ node }) => node);
    const before = await this.prompt.attentionAlong(path, nodes[0].writesAt);
    const attention = new Array<number>(this.prompt.length).fill(0);
    const contributions = new Array<number>(this.prompt.length).fill(0);
    const { node, writesAt, direction } = last;
    if (node.kind !== 'head') {
      const written =
        node.kind === 'mlp'
          ? (await this.prompt.readout(node.position)).mlpOut[node.layer]
          : await this.prompt.input(node, node.position);
      attention[node.position] = before;
      contributions[node.position] = before * dot(direction, written);
      return { attention, contributions, whole: contributions[node.position] };
    }
    const { layer, head } = node;
    const { runner, pathWeights } = this.context;
    const { dHead } = runner.config;
    const { weights } = await pathWeights.headsOf(layer);
    const read = weights.readBy(head, direction);
    const row = await this.prompt.attention(layer, head, writesAt);
    row.forEach((share, source) => {
      attention[source] = before * share;
      contributions[source] = before * share * dot(read, this.prompt.value(layer, head, source));
    });
    const { z } = await this.prompt.readout(writesAt);
    return { attention, contributions, whole: before * dotAt(z[layer], head * dHead, read, dHead) };
  }
}

/** Why the sum over tokens cannot be trusted, if it cannot. */
function checkSum({ contributions, whole }: Contributions): string[] {
  const sum = contributions.reduce((total, value) => total + value, 0);
  const largest = contributions.reduce((most, value) => Math.max(most, Math.abs(value)), Math.abs(whole));
  if (Math.abs(sum - whole) <= SUM_TOLERANCE * Math.max(largest, 1e-3)) return [];
  return [
    `What the tokens add through the path is ${signed(sum)} in all, not what its last node adds, ${signed(whole)}.`,
  ];
}

/** `vector` · each row. */
function scoresOf(vector: Float64Array, rows: Float32Array): number[] {
  return Array.from({ length: rows.length / vector.length }, (_, pos) =>
    dotAt(rows, pos * vector.length, vector, vector.length),
  );
}

/**
 * Token attributions by observable propagation: the observable taken back along a path (`featureVector`), read at every token, and what
 * each token adds through the path with frozen norm scales. Without a path: the head with the largest direct contribution. No forward
 * pass where the cache knows the prompt: one position for each further token that the path writes at, one block where it ends at an
 * MLP; once for each prompt.
 * @throws MechanistError `bad-input` (path)
 */
export async function propagate(
  analysis: FeatureContext,
  { path, norm = 'frozen', view = 'score' }: Pick<TraceRequest, 'path' | 'norm' | 'view'>,
  activations: PromptActivations,
  position: number,
  observable: ResolvedObservable & { readonly value: number },
  direct: DirectAttribution,
): Promise<{ detail: PropagationDetail; warnings: readonly string[] }> {
  const context = sharingWeights(analysis);
  const prompt = new PromptReader(context, activations);
  const about = { ids: activations.tokens, position };
  const request = { observable, path: path ?? largestHead(direct), norm: 'frozen' } as const;
  const frozen = await walkFeature(context, request, about, prompt);
  const shown = printPath(frozen.nodes.map(({ node }) => node));
  // The tokens that the first walk chose hold for the other one as well.
  const walk =
    norm === 'frozen' ? frozen : await walkFeature(context, { ...request, path: shown, norm }, about, prompt);
  const found = await new PathContributions(context, prompt).of(frozen.nodes);
  const { node } = frozen.nodes[frozen.nodes.length - 1];
  const detail: PropagationDetail = {
    ...{ path: shown, pathIsDefault: path === undefined, norm, view, hook: walk.hook },
    scores: scoresOf(walk.vector, await prompt.inputRows(node)),
    attention: found.attention,
    contributions: found.contributions,
    contribution: found.whole,
    share: observable.value === 0 ? null : found.whole / observable.value,
    norms: walk.norms,
  };
  return { detail, warnings: [...walk.warnings, ...checkSum(found)] };
}
