import type { PathNode } from '../../shared/features.ts';
import type { ResolvedObservable } from '../tasks/observable.ts';
import { printPath } from '../tasks/pathText.ts';
import { type FeatureVector, featureVector } from './featureVector.ts';
import type { MapReach, RowReader } from './headsMap.ts';
import type { StreamObservable } from './normPullBack.ts';
import type { PairRow } from './pairRows.ts';
import { readPathPair } from './pathPair.ts';
import { FinalDrop, PathPatcher, type PlacedNode } from './pathPatcher.ts';
import type { PathStack } from './pathStack.ts';
import { type FeatureContext, PromptReader, sharingWeights } from './promptReader.ts';
import { dot } from './vectors.ts';

/** What a map is about, in one row: the observable itself, or what a path carries to it. */
export interface RowTarget {
  readonly reader: RowReader;
  /** What the parts sum up to, in each prompt; in logits. */
  readonly values: readonly [clean: number, corrupted: number];
  /** What of it no part writes: n · β + n · b_U. */
  readonly constant: number;
}

/** Reads the final stream, with the real final norm: parts and what patching each does by the direct path alone. */
export function directTarget(
  { runner }: Pick<FeatureContext, 'runner'>,
  observable: StreamObservable,
  [clean, corrupted]: readonly [Float64Array, Float64Array],
): RowTarget {
  const { finalNorm } = runner;
  const [own, other] = [clean, corrupted].map((stream) => new FinalDrop(finalNorm, observable, stream, 'real'));
  const along = [clean, corrupted].map((stream) => finalNorm.pullBack(observable.direction, finalNorm.scale(stream)));
  const bias = finalNorm.bias === null ? 0 : dot(finalNorm.bias, observable.direction);
  const width = clean.length;
  return {
    reader: {
      along: [along[0], along[1]],
      fall: async (changes) =>
        Array.from({ length: changes.length / width }, (_, i) => own.of(changes.subarray(i * width, (i + 1) * width))),
    },
    values: [own.value, other.value],
    constant: bias + observable.bias,
  };
}

/** What writes to the input of a path's last node. */
export function reachOf(node: PathNode, parallel: boolean): MapReach {
  if (node.kind === 'embedding') return { headLayers: 0, mlpLayers: 0 };
  const { layer } = node;
  return { headLayers: node.kind === 'mlp' && !parallel ? layer + 1 : layer, mlpLayers: layer };
}

/** A path on one pair of prompts: its feature in each, norms and MLPs linearised there, attention as it is there. */
export class PathOfRow {
  private constructor(
    private readonly context: FeatureContext,
    private readonly row: PairRow,
    readonly path: readonly PathNode[],
    private readonly features: readonly [FeatureVector, FeatureVector],
  ) {}

  /** Tokens that the path leaves to the prompt are chosen by the clean one. */
  static async read(
    context: FeatureContext,
    row: PairRow,
    request: { readonly observable: ResolvedObservable; readonly path: string },
  ): Promise<PathOfRow> {
    const { item, corrupted, position } = row;
    const own = sharingWeights(context);
    const clean = await featureVector(own, request, { ids: item.ids, position, roles: item.roles });
    const same = { ...request, path: printPath(clean.path) };
    const other = await featureVector(own, same, { ids: corrupted, position });
    return new PathOfRow(context, row, clean.path, [clean, other]);
  }

  /** The token that the last node reads. */
  get position(): number {
    return this.path.at(-1)?.position ?? this.row.position;
  }

  /** What the parts of the stream contribute through the path, linearised, and what patching them does along it. */
  async target(stack: PathStack, observable: StreamObservable): Promise<RowTarget> {
    const { context, row, path, position } = this;
    const last = path[path.length - 1];
    const along: Float64Array[] = [];
    const values: number[] = [];
    for (const [i, ids] of [row.item.ids, row.corrupted].entries()) {
      const reader = await PromptReader.read(context, Int32Array.from(ids), row.position);
      const share = await reader.attentionAlong(path, row.position);
      const scaled = this.features[i].vector.map((value) => share * value);
      along.push(scaled);
      values.push(dot(scaled, await reader.input(last, position)));
    }
    const places = [...new Set([...path.map((node) => node.position ?? row.position), row.position])];
    const prompts = { clean: row.item.ids, dirty: row.corrupted, places, end: places.indexOf(row.position) };
    const pair = await readPathPair(context.runner, stack.sweep, prompts, context);
    const patcher = new PathPatcher(stack, pair, observable, 'real');
    const placed = path.map(({ position: at, ...node }): PlacedNode => {
      return { ...node, place: places.indexOf(at ?? row.position) };
    });
    return {
      reader: { along: [along[0], along[1]], fall: (changes) => patcher.falls(placed, changes, context) },
      values: [values[0], values[1]],
      constant: 0,
    };
  }
}
