import { MechanistError, throwIfCancelled } from '../../../shared/errors.ts';
import { bytes } from '../../../shared/format.ts';
import type { CellResult, StepContext, StepKind } from '../../experiments/stepKind.ts';
import { paramSchemas } from '../../experiments/steps/paramSchemas.ts';
import { countedPasses } from '../../experiments/steps/passes.ts';
import { shortNumber } from '../../experiments/steps/rowGroups.ts';
import { type StreamObservable, streamValue } from '../normPullBack.ts';
import { pathPairBytes, readPathPair } from '../pathPair.ts';
import { PathPatcher, type PlacedNode } from '../pathPatcher.ts';
import { extensionsOf, lengthen, type SearchLength } from '../pathSearch.ts';
import { type PathStack, withPathStack } from '../pathStack.ts';
import { featureSchemas } from './featureParams.ts';
import { findPathsFigures } from './findPathsFigures.ts';
import {
  DEFAULT_BEAM,
  DEFAULT_LENGTH,
  DEFAULT_ROWS,
  type FindPathsParams,
  type FoundPaths,
  rowsAndPlaces,
} from './findPathsParams.ts';

const CELL = 'paths';

/** @throws MechanistError `bad-input` where the rows would not fit into memory together */
function checkMemory({ model, memoryBytes }: StepContext, rows: number, places: number): void {
  const each = pathPairBytes(model.config, places);
  if (rows * each <= memoryBytes) return;
  const fit = Math.floor(memoryBytes / each);
  const advice = fit > 0 ? `Take at most ${fit} rows, or fewer tokens at:.` : 'Take fewer tokens at:.';
  const message = `${rows} rows with ${places} tokens each need ${bytes(rows * each)} of memory at once. ${advice}`;
  throw new MechanistError('bad-input', message);
}

/** A patcher for each row: two forward passes each. */
async function patchersOf(
  context: StepContext,
  params: FindPathsParams,
  stack: PathStack,
  observable: StreamObservable,
): Promise<readonly PathPatcher[]> {
  const { runner } = context;
  const { rows, places } = rowsAndPlaces(context, params);
  checkMemory(context, rows.length, places.labels.length);
  const patchers: PathPatcher[] = [];
  for (const [i, { item, corrupted }] of rows.entries()) {
    await context.giveWay?.();
    const prompts = { clean: item.ids, dirty: corrupted, places: places.positions[i], end: places.end };
    const pair = await readPathPair(runner, stack.sweep, prompts, context);
    patchers.push(new PathPatcher(stack, pair, observable, params.finalNorm ?? 'real'));
  }
  return patchers;
}

/** Lengthens paths on all rows together. */
class RowSearch {
  private readonly first: Omit<FoundPaths, 'lengths' | 'forwardPasses'>;

  constructor(
    private readonly context: StepContext,
    private readonly params: FindPathsParams,
    private readonly patchers: readonly PathPatcher[],
    observable: StreamObservable,
  ) {
    const { finalNorm } = context.runner;
    const corrupted = ({ pair }: PathPatcher) => streamValue(finalNorm, observable, pair.dirty);
    this.first = {
      clean: patchers.map(({ clean }) => shortNumber(clean)),
      corrupted: patchers.map((patcher) => shortNumber(corrupted(patcher))),
      otherTokens: patchers.map((patcher) => shortNumber(patcher.fall(patcher.pair.otherTokens))),
      patterns: patchers.map((patcher) => shortNumber(patcher.fall(patcher.pair.patterns))),
    };
  }

  found(lengths: readonly SearchLength[], forwardPasses: number): FoundPaths {
    return { ...this.first, lengths, forwardPasses };
  }

  /** The paths that are one node longer than those before, of `reached` nodes. */
  async next(before: readonly (readonly PlacedNode[])[], reached: number): Promise<SearchLength> {
    const { context, params, patchers } = this;
    const { length = DEFAULT_LENGTH, beam = DEFAULT_BEAM } = params;
    const { places } = rowsAndPlaces(context, params);
    const readable = (from: number, to: number) => places.positions.some((own) => own[from] <= own[to]);
    const space = { end: places.end, places: places.labels.length, readable };
    // One path of no nodes is lengthened at first, then no more than the beam at each length.
    let done = reached === 0 ? 0 : 1 + (reached - 1) * beam;
    const progress = { total: 1 + (length - 1) * beam, label: `Paths of length ${reached + 1} of ${length}` };
    const evaluate = async (path: readonly PlacedNode[], nodes: readonly PlacedNode[]) => {
      const values: number[][] = nodes.map(() => []);
      for (const patcher of patchers) {
        throwIfCancelled(context.signal);
        await context.giveWay?.();
        const row = await patcher.contributions(path, nodes, context);
        values.forEach((own, i) => {
          own.push(shortNumber(row[i]));
        });
      }
      context.onProgress?.({ done: ++done, ...progress });
      return values;
    };
    const extend = (path: readonly PlacedNode[]) => extensionsOf(context.model.config, path, space);
    return await lengthen(before, beam, extend, evaluate);
  }
}

async function search(context: StepContext, params: FindPathsParams, stack: PathStack): Promise<FoundPaths> {
  const counted = countedPasses(context);
  const left = context.checkpoint?.left as FoundPaths | null | undefined;
  const observable = await context.runner.unembedding.direction(context.observable(params.observable).terms);
  const rows = new RowSearch(context, params, await patchersOf(context, params, stack, observable), observable);
  const lengths = [...(left?.lengths ?? [])];
  const found = () => rows.found([...lengths], (left?.forwardPasses ?? 0) + counted());
  const { length = DEFAULT_LENGTH } = params;
  while (lengths.length < length) {
    const before = lengths.at(-1)?.kept.map(({ nodes }) => nodes) ?? [[]];
    const next = await rows.next(before, lengths.length);
    if (next.from.length === 0) break;
    lengths.push(next);
    await context.checkpoint?.reached(() => found() as unknown as CellResult);
  }
  return found();
}

/** About how many forward passes of the data the search costs: each path is tried with a node of every layer at every place. */
function passesOf(context: StepContext, params: FindPathsParams): number {
  const { rows, places } = rowsAndPlaces(context, params);
  const { nHeads } = context.model.config;
  const { length = DEFAULT_LENGTH, beam = DEFAULT_BEAM } = params;
  const tokens = rows.reduce((sum, { item }) => sum + item.ids.length, 0) / rows.length;
  const perPath = (0.3 * nHeads * places.labels.length) / tokens;
  return (rows.length * (2 + (length - 1) * beam * perPath)) / context.task.items.length;
}

/**
 * Greedy search for the paths that carry a difference (§1.6 of our notes on Dunefsky and Cohan 2024): every node that writes to what
 * the paths kept so far read is tried, the strongest paths of each length are kept, of either sign. A path's contribution is the fall
 * of the observable when the input of its earliest node at one token is the corrupted run's, attention patterns held, every norm and
 * MLP on the path computed anew. One cell that goes on where it stopped, a length at a time.
 */
export const findPaths: StepKind<FindPathsParams> = {
  name: 'find-paths',
  params: {
    type: 'object',
    description:
      'Searches the paths from tokens to the logits that carry the clean − corrupted difference of an observable.',
    properties: {
      observable: paramSchemas.observable,
      corruption: featureSchemas.corruption,
      rows: {
        type: 'integer',
        minimum: 1,
        default: DEFAULT_ROWS,
        description: 'The first so many rows, over which contributions are means.',
      },
      row: { type: ['string', 'integer'], description: 'Id of one row instead: then every token is a place.' },
      at: {
        type: 'array',
        items: { type: 'string' },
        minItems: 1,
        description:
          'Tokens between which paths go: roles, or "3" from the start, "-2" from the end. Default: all of one row, the roles of several.',
      },
      length: {
        type: 'integer',
        minimum: 1,
        maximum: 12,
        default: DEFAULT_LENGTH,
        description: 'Nodes of the longest paths.',
      },
      beam: {
        type: 'integer',
        minimum: 1,
        maximum: 1000,
        default: DEFAULT_BEAM,
        description: 'Paths that are kept of each length.',
      },
      finalNorm: {
        enum: ['real', 'frozen'],
        default: 'real',
        description:
          'real: the final norm of the patched stream. frozen: its scale in the clean run, so that paths add up.',
      },
    },
    required: ['observable'],
    additionalProperties: false,
  },
  cells: (context, params) => {
    context.observable(params.observable);
    return [{ id: CELL, passes: passesOf(context, params) }];
  },
  run: async (context, params) =>
    (await withPathStack(context.runner, (stack) => search(context, params, stack))) as unknown as CellResult,
  assemble: (context, params, results, unfinished) =>
    findPathsFigures(context, params, (results.get(CELL) ?? unfinished?.get(CELL) ?? null) as FoundPaths | null),
};
