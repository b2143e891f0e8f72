import { MechanistError } from '../../../shared/errors.ts';
import type { CellResult, StepCell, StepContext, StepKind } from '../../experiments/stepKind.ts';
import { type RowChunk, rowChunks } from '../../experiments/steps/cellIds.ts';
import { paramSchemas } from '../../experiments/steps/paramSchemas.ts';
import { countedPasses } from '../../experiments/steps/passes.ts';
import { shortNumber } from '../../experiments/steps/rowGroups.ts';
import { groupRows } from '../../experiments/steps/taskRows.ts';
import { pathFormat } from '../../tasks/experiment/pathRefs.ts';
import { featureVector } from '../featureVector.ts';
import { headNorms, unscaled } from '../headNorms.ts';
import { type MapNumbers, mapBatch, type PartNumbers } from '../headsMap.ts';
import { directTarget, PathOfRow, type RowTarget } from '../nodeReaders.ts';
import { type PairRow, pairRows } from '../pairRows.ts';
import { type PathStack, withPathStack } from '../pathStack.ts';
import { type FeatureContext, sharingWeights } from '../promptReader.ts';
import { totalEffects } from '../totalEffects.ts';
import { featureSchemas } from './featureParams.ts';
import { headsMapFigures } from './headsMapFigures.ts';
import { type HeadsMapParams, type MapCell, reachOfMap } from './headsMapParams.ts';

const WEIGHTS = 'weights';

function chunksOf(
  context: StepContext,
  params: HeadsMapParams,
): { rows: readonly PairRow[]; chunks: readonly RowChunk[] } {
  const rows = pairRows(context.task, params);
  return { rows, chunks: rowChunks(rows.length) };
}

async function norms(context: StepContext, params: HeadsMapParams): Promise<CellResult> {
  const { runner, task } = context;
  const observable = context.observable(params.observable);
  const { headLayers } = reachOfMap(context, params);
  if (params.under === undefined) {
    const { direction } = await runner.unembedding.direction(observable.terms);
    const [own] = await headNorms(context, [unscaled(runner.finalNorm, direction)], {
      gains: true,
      toLayer: headLayers,
    });
    return { norms: own, forwardPasses: 0 };
  }
  // Scales of inputs change no rank; an MLP on the path is linearised at the first row.
  const [{ item, position }] = pairRows(task, params);
  const request = { observable, path: params.under, norm: 'scaled' } as const;
  const { vector } = await featureVector(context, request, { ids: item.ids, position, roles: item.roles });
  const [own] = await headNorms(context, [vector], { gains: true, toLayer: headLayers });
  return { norms: own, forwardPasses: 1 };
}

/** A row with what the map reads in it. */
interface ReadRow extends PairRow {
  /** 0-based: the token at which parts write. */
  readonly at: number;
  readonly path: PathOfRow | null;
}

async function readRow(
  context: StepContext,
  reading: FeatureContext,
  { observable, under }: HeadsMapParams,
  row: PairRow,
): Promise<ReadRow> {
  if (under === undefined) return { ...row, at: row.position, path: null };
  await context.giveWay?.();
  const request = { observable: context.observable(observable), path: under };
  const path = await PathOfRow.read(reading, row, request);
  return { ...row, at: path.position, path };
}

function joinParts(all: readonly MapNumbers[], of: (numbers: MapNumbers) => PartNumbers): PartNumbers {
  const parts = all.map(of);
  const join = (key: keyof PartNumbers) => parts.flatMap((part) => part[key] ?? []).map(shortNumber);
  const total = parts.some((part) => part.total !== undefined) ? { total: join('total') } : {};
  return { direct: join('direct'), corrupted: join('corrupted'), patched: join('patched'), ...total };
}

/** Numbers of several batches, one after another. */
function joinNumbers(all: readonly MapNumbers[]): MapNumbers {
  return {
    heads: all[0].heads.map((heads, l) => heads.map((_, h) => joinParts(all, (numbers) => numbers.heads[l][h]))),
    mlps: all[0].mlps.map((_, l) => joinParts(all, (numbers) => numbers.mlps[l])),
    embedding: joinParts(all, (numbers) => numbers.embedding),
    biases: joinParts(all, (numbers) => numbers.biases),
  };
}

async function runRows(
  context: StepContext,
  params: HeadsMapParams,
  rows: readonly PairRow[],
  stack: PathStack,
): Promise<MapCell> {
  const { runner } = context;
  const { terms } = context.observable(params.observable);
  const observable = await runner.unembedding.direction(terms);
  const reach = reachOfMap(context, params);
  const read: ReadRow[] = [];
  // Rows go through the same weights.
  const reading = sharingWeights(context);
  for (const row of rows) read.push(await readRow(context, reading, params, row));
  const all: MapNumbers[] = [];
  const targets: RowTarget[] = [];
  for (const group of groupRows([...read.keys()], (i) => `${read[i].item.ids.length} ${read[i].at}`)) {
    await context.giveWay?.();
    const own = group.map((i) => read[i]);
    const batch = {
      clean: own.map(({ item }) => item.ids),
      corrupted: own.map(({ corrupted }) => corrupted),
      position: own[0].at,
    };
    const readers = async (streams: readonly Float64Array[]) => {
      const made: RowTarget[] = [];
      for (const [i, { path }] of own.entries()) {
        const pair = [streams[i], streams[own.length + i]] as const;
        made.push(path === null ? directTarget(context, observable, pair) : await path.target(stack, observable));
      }
      targets.push(...made);
      return made.map(({ reader }) => reader);
    };
    const numbers = await mapBatch(stack.sweep, batch, reach, readers, context);
    const { total } = params;
    const effects = total && (await totalEffects(stack.sweep, batch, observable, total, context));
    const heads = numbers.heads.map((own, l) =>
      own.map((part, h) => ({ ...part, ...(effects && { total: effects[l][h] }) })),
    );
    all.push({ ...numbers, heads });
    context.onProgress?.({ done: targets.length, total: rows.length, label: 'Rows' });
  }
  const [clean, corrupted] = [0, 1].map((side) => targets.map(({ values }) => shortNumber(values[side])));
  return { ...joinNumbers(all), clean, corrupted, constant: targets[0].constant };
}

async function run(context: StepContext, params: HeadsMapParams, cell: StepCell): Promise<CellResult> {
  if (cell.id === WEIGHTS) return await norms(context, params);
  const { rows, chunks } = chunksOf(context, params);
  const chunk = chunks.find(({ id }) => id === cell.id);
  if (chunk === undefined) throw new MechanistError('internal', `There is no cell ${cell.id}.`);
  const counted = countedPasses(context);
  const own = chunk.rows.map((row) => rows[row]);
  const result = await withPathStack(context.runner, (stack) => runRows(context, params, own, stack));
  return { ...result, forwardPasses: counted() };
}

/**
 * Four maps of heads for one observable, side by side: the norm of each head's feature (no data), its direct contribution on the
 * clean prompts, the clean − corrupted difference of that, and the effect of patching it (§1.7.7 of our notes on Dunefsky and Cohan
 * 2024, §4.1 there). `under` a path: the same for what writes to the path's last node. A cell is 64 rows, two passes each.
 */
export const headsMap: StepKind<HeadsMapParams> = {
  name: 'heads-map',
  params: {
    type: 'object',
    description:
      'Maps of heads for an observable: norm of the feature, direct contribution, difference in the pair, patched effect; and how they agree.',
    properties: {
      observable: paramSchemas.observable,
      under: {
        type: 'string',
        format: pathFormat,
        description:
          'A path: the map is then of what writes to its last node, along the path. L21.H4@name, or L21.H4@7 <= MLP 12.',
      },
      corruption: featureSchemas.corruption,
      total: {
        enum: ['noising', 'denoising'],
        description:
          "A fifth map: a head's z patched in the whole model, layers above run anew; noising: corrupted into clean. A pass for each head and row.",
      },
      top: {
        type: 'integer',
        minimum: 1,
        default: 10,
        description: 'Of how many strongest heads the lists are, and are compared.',
      },
    },
    required: ['observable'],
    additionalProperties: false,
  },
  cells: (context, params) => {
    const { rows, chunks } = chunksOf(context, params);
    const { headLayers } = reachOfMap(context, params);
    context.observable(params.observable);
    const { nLayers, nHeads } = context.model.config;
    const whole = params.total === undefined ? 0 : (nLayers * nHeads) / 2;
    const each = (2 * headLayers) / nLayers + (params.under === undefined ? 0 : 4) + whole;
    const share = 1 / context.task.items.length;
    const weights = { id: WEIGHTS, passes: share };
    const cells = chunks.map((chunk) => ({ id: chunk.id, passes: chunk.rows.length * each * share }));
    return rows.length === 0 ? [] : [weights, ...cells];
  },
  run,
  assemble: headsMapFigures,
};
