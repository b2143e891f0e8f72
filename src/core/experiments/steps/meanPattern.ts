import { MechanistError } from '../../../shared/errors.ts';
import type { MatrixPicture } from '../../../shared/figures.ts';
import { share } from '../../../shared/format.ts';
import type { CellResult, StepCell, StepContext, StepKind, StepResult } from '../stepKind.ts';
import { rowChunks } from './cellIds.ts';
import { estimateOf, meanOf } from './estimate.ts';
import { headsOf, layerHooks, topLayer } from './heads.ts';
import { paramSchemas } from './paramSchemas.ts';
import { countedPasses } from './passes.ts';
import { blankRows, Patterns, rowGroups, shortNumber } from './rowGroups.ts';
import { columnsOf, requireRows } from './taskRows.ts';

interface MeanPatternParams {
  readonly heads: readonly string[];
  readonly by?: 'position' | 'role';
  readonly roles?: readonly string[];
}

/** Attention of a query that stands out in words: to the token before, to itself, to the first one. Means over queries 1 …. */
const KINDS = ['previous-token', 'self', 'first'] as const;

interface Chunk {
  /** `[head][query column][key column][row of the chunk]`; null where a row lacks a role, or the key comes later. */
  readonly pattern: readonly (readonly (readonly (readonly (number | null)[])[])[])[];
  /** `[head][kind][row of the chunk]` */
  readonly kinds: readonly (readonly (readonly (number | null)[])[])[];
}

const wholePrompts = (context: StepContext) => context.task.answerNames;

async function runCell(context: StepContext, params: MeanPatternParams, cell: StepCell): Promise<CellResult> {
  const { task, runner, signal } = context;
  const chunk = rowChunks(task.items.length).find(({ id }) => id === cell.id);
  if (chunk === undefined) throw new MechanistError('internal', `There is no cell ${cell.id}.`);
  const heads = headsOf(context, params.heads);
  const columns = columnsOf(task, params.by, params.roles);
  const counted = countedPasses(context);
  const blank = () => blankRows(chunk.rows.length);
  const pattern = heads.map(() => columns.names.map(() => columns.names.map(blank)));
  const kinds = heads.map(() => KINDS.map(blank));
  for (const { rows, items } of rowGroups(task, chunk.rows, wholePrompts(context))) {
    await context.giveWay?.();
    const tokens = items.map(({ ids }) => ids);
    const hooks = layerHooks(heads, 'attn.hook_pattern');
    const run = await runner.run(tokens, { hooks, toLayer: topLayer(heads) + 1, signal });
    const everywhere = tokens[0].map((_, position) => position);
    const patterns = new Patterns(run.activations, everywhere);
    items.forEach((item, i) => {
      const row = chunk.rows.indexOf(rows[i]);
      const positions = columns.positionsOf(item);
      heads.forEach((head, h) => {
        const from = (query: number, keys: readonly number[]) => patterns.mass(i, head, query, keys);
        positions.forEach((queries, q) => {
          positions.forEach((keys, k) => {
            if (queries.length === 0 || keys.length === 0 || Math.min(...keys) > Math.max(...queries)) return;
            pattern[h][q][k][row] = shortNumber(meanOf(queries.map((query) => from(query, keys))) ?? 0);
          });
        });
        const later = everywhere.slice(1);
        const means = [
          meanOf(later.map((query) => from(query, [query - 1]))),
          meanOf(later.map((query) => from(query, [query]))),
          meanOf(later.map((query) => from(query, [0]))),
        ];
        means.forEach((mean, kind) => {
          kinds[h][kind][row] = mean === null ? null : shortNumber(mean);
        });
      });
    });
  }
  return { pattern, kinds, forwardPasses: counted() };
}

const present = (values: readonly (number | null)[]) => values.filter((value) => value !== null);

function assemble(
  context: StepContext,
  params: MeanPatternParams,
  results: ReadonlyMap<string, CellResult>,
): StepResult {
  const { task, seed } = context;
  const heads = headsOf(context, params.heads);
  const { name, labels, names } = columnsOf(task, params.by, params.roles);
  const chunks = rowChunks(task.items.length).flatMap(({ id }) => results.get(id) ?? []) as unknown as Chunk[];
  const values: Record<string, number> = {};
  const pictures = heads.map((head, h): MatrixPicture => {
    const cell = (q: number, k: number) => meanOf(present(chunks.flatMap(({ pattern }) => pattern[h][q][k])));
    const matrix = names.map((_, q) => names.map((__, k) => cell(q, k)));
    matrix.forEach((row, q) => {
      row.forEach((value, k) => {
        if (value !== null) values[`${head.name}.${names[q]}.${names[k]}`] = value;
      });
    });
    const words = KINDS.flatMap((kind, i) => {
      const estimate = estimateOf(present(chunks.flatMap(({ kinds }) => kinds[h][i])), seed);
      if (estimate === null) return [];
      values[`${head.name}.${kind}`] = estimate.mean;
      return [`${share(estimate.mean)}${estimate.sd === null ? '' : ` ± ${share(estimate.sd)}`} ${kind}`];
    });
    const n = chunks.reduce((sum, { kinds }) => sum + present(kinds[h][0]).length, 0);
    return {
      ...{ type: 'matrix', id: head.name, title: `${head.name}: ${words.join(', ')}`, unit: 'attention' },
      subtitle: `mean attention over rows, query by row, key by column; the title is over all queries but the first; n = ${n}`,
      rows: { name: `query ${name}`, labels },
      columns: { name: `key ${name}`, labels },
      ...{ values: matrix, scale: 'sequential' },
    };
  });
  return {
    title: `Mean attention patterns of ${heads.map((head) => head.name).join(', ')}`,
    subtitle: pictures[0]?.subtitle ?? '',
    ...{ pictures, values, warnings: [], ablation: 'none' },
  };
}

/**
 * Attention patterns of heads, averaged over rows (E13 of arXiv 2405.04156). By role, a query's attention to all positions of
 * a role is summed, and the mean is over the queries of a role. A cell is 64 rows: one pass up to the highest head.
 */
export const meanPattern: StepKind<MeanPatternParams> = {
  name: 'mean-pattern',
  params: {
    type: 'object',
    description: 'Attention patterns of heads, averaged over the rows of the data.',
    properties: { heads: paramSchemas.heads, by: paramSchemas.by, roles: paramSchemas.roles },
    required: ['heads'],
    additionalProperties: false,
  },
  cells: (context, params) => {
    requireRows(context.task);
    columnsOf(context.task, params.by, params.roles);
    const top = topLayer(headsOf(context, params.heads)) + 1;
    const share1 = top / context.model.config.nLayers / context.task.items.length;
    return rowChunks(context.task.items.length).map(({ id, rows }) => ({ id, passes: rows.length * share1 }));
  },
  run: runCell,
  assemble,
};
