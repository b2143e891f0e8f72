import { MechanistError } from '../../../shared/errors.ts';
import type { ScatterPicture } from '../../../shared/figures.ts';
import { share } from '../../../shared/format.ts';
import type { PackedArray } from '../../../shared/packedArray.ts';
import { HeadWeights } from '../../engine/headWeights.ts';
import type { CellResult, StepCell, StepContext, StepKind, StepResult } from '../stepKind.ts';
import { rowChunks } from './cellIds.ts';
import { pearson } from './estimate.ts';
import { type Head, headsOf, layerHooks, topLayer } from './heads.ts';
import { paramSchemas } from './paramSchemas.ts';
import { countedPasses } from './passes.ts';
import { blankRows, Patterns, rowGroups, shortNumber } from './rowGroups.ts';
import { answersOf, ownAnswers, requireRows, rolesOf } from './taskRows.ts';

interface CopyingScatterParams {
  readonly heads: readonly string[];
  readonly to: readonly string[];
  readonly tokens?: readonly string[];
  readonly answers?: readonly string[];
  readonly scale?: boolean;
}

interface Plan {
  readonly heads: readonly Head[];
  readonly answers: readonly string[];
  /** Roles, each with the answer whose token it is about. */
  readonly pairs: readonly { readonly role: string; readonly token: string }[];
}

/** `[head][answer][role][row of the chunk]`: attention, and the logit written. */
interface Chunk {
  readonly x: readonly (readonly (readonly (readonly (number | null)[])[])[])[];
  readonly y: Chunk['x'];
}

function planOf(context: StepContext, params: CopyingScatterParams): Plan {
  const { task } = context;
  requireRows(task);
  const roles = rolesOf(task, params.to);
  const tokens = answersOf(task, params.tokens);
  if (roles.length !== tokens.length) {
    throw new MechanistError(
      'bad-input',
      `Each role goes with the answer that it holds: to names ${roles.length}, tokens ${tokens.length} (${tokens.join(', ')}).`,
    );
  }
  return {
    heads: headsOf(context, params.heads),
    answers: answersOf(task, params.answers),
    pairs: roles.map((role, i) => ({ role, token: tokens[i] })),
  };
}

/** What a head's z is read by along the unembedding of a token, with the head's constant part. */
class Readers {
  private readonly known = new Map<string, Promise<{ readonly reader: Float64Array; readonly constant: number }>>();
  private readonly weights = new Map<number, Promise<HeadWeights>>();
  private mean: Promise<Float64Array> | undefined;

  constructor(private readonly context: StepContext) {}

  private async make({ layer, head }: Head, id: number) {
    const { runner } = this.context;
    this.mean ??= runner.unembedding.meanDirection();
    const mean = await this.mean;
    const { direction } = await runner.unembedding.direction([{ id, weight: 1 }]);
    const along = runner.finalNorm.pullBack(
      direction.map((value, i) => value - mean[i]),
      1,
    );
    const own = this.weights.get(layer) ?? HeadWeights.read(runner, layer);
    this.weights.set(layer, own);
    const weights = await own;
    const reader = weights.readBy(head, along);
    const constant = weights.constantValue(head).reduce((sum, value, e) => sum + value * reader[e], 0);
    return { reader, constant };
  }

  /** The logit of a token that a head's z writes, without what it writes whatever it reads; not divided by the norm's scale. */
  async logit(head: Head, id: number, z: ArrayLike<number>): Promise<number> {
    const key = `${head.name} ${id}`;
    const own = this.known.get(key) ?? this.make(head, id);
    this.known.set(key, own);
    const { reader, constant } = await own;
    return reader.reduce((sum, value, e) => sum + value * z[e], -constant);
  }
}

/** A head's z at one of the rows that were read. */
function zOf(activations: ReadonlyMap<string, PackedArray>, { layer, head }: Head, item: number, row: number) {
  const z = activations.get(`blocks.${layer}.attn.hook_z`);
  if (z === undefined) throw new Error(`z of layer ${layer} was not read.`);
  const [, rows, heads, width] = z.dims;
  const at = ((item * rows + row) * heads + head) * width;
  return z.data.subarray(at, at + width);
}

async function runCell(context: StepContext, params: CopyingScatterParams, cell: StepCell): Promise<CellResult> {
  const { task, runner, signal } = context;
  const chunk = rowChunks(task.items.length).find(({ id }) => id === cell.id);
  if (chunk === undefined) throw new MechanistError('internal', `There is no cell ${cell.id}.`);
  const { heads, answers, pairs } = planOf(context, params);
  const counted = countedPasses(context);
  const readers = new Readers(context);
  const blank = () => heads.map(() => answers.map(() => pairs.map(() => blankRows(chunk.rows.length))));
  const [x, y] = [blank(), blank()];
  const scaleHook = 'ln_final.hook_scale';
  for (const { rows, items, positions, tokens } of rowGroups(task, chunk.rows, answers)) {
    await context.giveWay?.();
    const hooks = [...layerHooks(heads, 'attn.hook_pattern', 'attn.hook_z'), ...(params.scale ? [scaleHook] : [])];
    const toLayer = params.scale ? runner.config.nLayers : topLayer(heads) + 1;
    const { activations } = await runner.run(tokens, { hooks, positions, toLayer, signal });
    const patterns = new Patterns(activations, positions);
    for (const [i, item] of items.entries()) {
      const row = chunk.rows.indexOf(rows[i]);
      for (const { name, position } of ownAnswers(item, answers)) {
        const at = positions.indexOf(position);
        const scale = activations.get(scaleHook)?.data[i * positions.length + at] ?? 1;
        for (const [h, head] of heads.entries()) {
          const z = zOf(activations, head, i, at);
          for (const [p, { role, token }] of pairs.entries()) {
            const keys = item.roles[role];
            const [target] = ownAnswers(item, [token]);
            if (keys === undefined || target === undefined) continue;
            x[h][answers.indexOf(name)][p][row] = shortNumber(patterns.mass(i, head, position, keys));
            y[h][answers.indexOf(name)][p][row] = shortNumber((await readers.logit(head, target.answer, z)) / scale);
          }
        }
      }
    }
  }
  return { x, y, forwardPasses: counted() };
}

function assemble(
  context: StepContext,
  params: CopyingScatterParams,
  results: ReadonlyMap<string, CellResult>,
): StepResult {
  const { task } = context;
  const { heads, answers, pairs } = planOf(context, params);
  const values: Record<string, number> = {};
  const unit = params.scale ? 'logits' : 'logits × norm scale';
  const chunks = rowChunks(task.items.length).flatMap((chunk) => {
    const cell = results.get(chunk.id) as unknown as Chunk | undefined;
    return cell === undefined ? [] : [{ rows: chunk.rows, ...cell }];
  });
  const pictures = heads.flatMap((head, h) =>
    answers.map((answer, a): ScatterPicture => {
      const points = pairs.flatMap((_, group) =>
        chunks.flatMap(({ rows, x, y }) =>
          rows.flatMap((row, i) => {
            const [px, py] = [x[h][a][group][i], y[h][a][group][i]];
            return px === null || py === null ? [] : [{ x: px, y: py, group, label: task.items[row].id }];
          }),
        ),
      );
      const correlations = pairs.map((_, group) => pearson(points.filter((point) => point.group === group)));
      const known = pairs.flatMap(({ role }, group) => {
        const r = correlations[group];
        if (r === null) return [];
        values[`${head.name}.${answer}.${role}.r`] = r;
        return [`${role} ${share(r)}`];
      });
      return {
        ...{ type: 'scatter', id: `${head.name} ${answer}`, points, correlations },
        title: `${head.name} at ${answer}: correlation ${known.length === 0 ? 'unknown' : known.join(', ')}`,
        subtitle: `a dot is a row and a role; n = ${points.length / Math.max(1, pairs.length)}`,
        x: { name: 'attention to the role', unit: 'attention' },
        y: { name: "written to the role's token", unit },
        groups: pairs.map(({ role, token }) => `${role} (${token})`),
      };
    }),
  );
  const unscaled =
    'As published, what a head writes is not divided by the scale of the final norm: the numbers are not logits and cannot be compared with logit differences. With scale they can.';
  return {
    title: 'What heads write against what they attend to',
    subtitle: `attention from the answer to a role, and the logit of the role's token that the head writes; ${unit}`,
    ...{ pictures, values, warnings: params.scale ? [] : [unscaled], ablation: 'none' },
  };
}

/**
 * What heads write to the token of each role against how much they attend to it (E9 of arXiv 2405.04156; Wang et al. 2022,
 * fig. 3). Without what a head writes whatever it attends to, and relative to the mean of all logits. A cell is 64 rows: one
 * pass up to the highest head, or through the model for the norm's scale.
 */
export const copyingScatter: StepKind<CopyingScatterParams> = {
  name: 'copying-scatter',
  params: {
    type: 'object',
    description:
      'What heads write to the token of each role, against how much they attend to it: a dot a row and role.',
    properties: {
      heads: paramSchemas.heads,
      to: {
        type: 'array',
        minItems: 1,
        items: { type: 'string' },
        description: 'Roles that are attended to: [C1, C2, C3].',
      },
      tokens: {
        type: 'array',
        items: { type: 'string' },
        description:
          'For each of these roles the answer whose token is looked for; default: all answers in their order.',
      },
      answers: paramSchemas.answers,
      scale: {
        type: 'boolean',
        default: false,
        description: 'Divides by the scale of the final norm, so that the numbers are logits.',
      },
    },
    required: ['heads', 'to'],
    additionalProperties: false,
  },
  cells: (context, params) => {
    const { heads } = planOf(context, params);
    const { nLayers } = context.model.config;
    const depth = params.scale ? 1 : (topLayer(heads) + 1) / nLayers;
    const { length } = context.task.items;
    return rowChunks(length).map(({ id, rows }) => ({ id, passes: (depth * rows.length) / length }));
  },
  run: runCell,
  assemble,
};
