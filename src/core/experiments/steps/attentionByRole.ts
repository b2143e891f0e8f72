import { MechanistError } from '../../../shared/errors.ts';
import type { BarPicture } from '../../../shared/figures.ts';
import type { TaskItem } from '../../../shared/taskSet.ts';
import type { CellResult, StepCell, StepContext, StepKind, StepResult } from '../stepKind.ts';
import { rowChunks } from './cellIds.ts';
import { estimateOf } from './estimate.ts';
import { headsOf, layerHooks, topLayer } from './heads.ts';
import { paramSchemas } from './paramSchemas.ts';
import { countedPasses } from './passes.ts';
import { blankRows, Patterns, rowGroups, shortNumber } from './rowGroups.ts';
import { answersOf, ownAnswers, requireRows, rolesOf } from './taskRows.ts';

interface AttentionByRoleParams {
  readonly heads: readonly string[];
  readonly roles?: readonly string[];
  readonly answers?: readonly string[];
  readonly renormalise?: boolean;
}

/** Where attention can go: roles, the first position, and what is neither. */
const FIRST = 'first';
const ELSEWHERE = 'elsewhere';

/** `[head][answer][column][row of the chunk]` */
type Masses = (number | null)[][][][];

interface Plan {
  readonly heads: ReturnType<typeof headsOf>;
  readonly answers: readonly string[];
  /** Roles, without those that are the first position in every row. */
  readonly roles: readonly string[];
  readonly columns: readonly string[];
}

function planOf(context: StepContext, params: AttentionByRoleParams): Plan {
  const { task } = context;
  requireRows(task);
  const atFirst = (role: string) => task.items.every((item) => item.roles[role]?.join() === '0');
  const roles = rolesOf(task, params.roles).filter((role) => !atFirst(role));
  return {
    heads: headsOf(context, params.heads),
    answers: answersOf(task, params.answers),
    roles,
    columns: [...roles, FIRST, ELSEWHERE],
  };
}

/** Positions of each column; null where a row lacks the role. */
function columnPositions(item: TaskItem, roles: readonly string[]): readonly (readonly number[] | null)[] {
  const own = roles.map((role) => item.roles[role] ?? null);
  const named = new Set([0, ...own.flatMap((positions) => positions ?? [])]);
  const rest = item.ids.flatMap((_, position) => (named.has(position) ? [] : [position]));
  return [...own, [0], rest];
}

async function runCell(context: StepContext, params: AttentionByRoleParams, cell: StepCell): Promise<CellResult> {
  const { task, runner, signal } = context;
  const chunk = rowChunks(task.items.length).find(({ id }) => id === cell.id);
  if (chunk === undefined) throw new MechanistError('internal', `There is no cell ${cell.id}.`);
  const { heads, answers, roles, columns } = planOf(context, params);
  const counted = countedPasses(context);
  const attention: Masses = heads.map(() => answers.map(() => columns.map(() => blankRows(chunk.rows.length))));
  for (const { rows, items, positions, tokens } of rowGroups(task, chunk.rows, answers)) {
    await context.giveWay?.();
    const hooks = layerHooks(heads, 'attn.hook_pattern');
    const run = await runner.run(tokens, { hooks, positions, toLayer: topLayer(heads) + 1, signal });
    const patterns = new Patterns(run.activations, positions);
    items.forEach((item, i) => {
      const targets = columnPositions(item, roles);
      for (const { name, position } of ownAnswers(item, answers)) {
        heads.forEach((head, h) => {
          targets.forEach((keys, column) => {
            if (keys === null) return;
            const mass = shortNumber(patterns.mass(i, head, position, keys));
            attention[h][answers.indexOf(name)][column][chunk.rows.indexOf(rows[i])] = mass;
          });
        });
      }
    });
  }
  return { attention, forwardPasses: counted() };
}

function barsOf(
  context: StepContext,
  params: AttentionByRoleParams,
  results: ReadonlyMap<string, CellResult>,
): { pictures: BarPicture[]; values: Record<string, number> } {
  const { seed, task } = context;
  const { heads, answers, roles, columns } = planOf(context, params);
  const chunks = rowChunks(task.items.length).flatMap(({ id }) => {
    const cell = results.get(id);
    return cell === undefined ? [] : [cell.attention as Masses];
  });
  const all = chunksOf(chunks);
  const values: Record<string, number> = {};
  const first = columns.indexOf(FIRST);
  const pictures = heads.map((head, h): BarPicture => {
    const groups = answers.map((answer, a) => ({
      label: answer,
      bars: columns.flatMap((column, c) => {
        const own = all(h, a, c);
        const sinks = all(h, a, first);
        const scaled = own.flatMap((mass, row) => {
          if (mass === null) return [];
          if (params.renormalise !== true || c === first) return [mass];
          const left = 1 - (sinks[row] ?? 0);
          return left > 0 ? [mass / left] : [];
        });
        const estimate = estimateOf(scaled, seed);
        if (estimate === null) return [];
        values[`${head.name}.${answer}.${column}`] = estimate.mean;
        return [{ label: column, ...estimate }];
      }),
    }));
    const n = Math.max(0, ...groups.flatMap(({ bars }) => bars.map((bar) => bar.n)));
    const to = params.renormalise === true ? `; all but ${FIRST} divided by what is not on the first position` : '';
    return {
      ...{ type: 'bars', id: head.name, title: `${head.name}: attention from the answers to ${roles.length} roles` },
      subtitle: `mean and standard deviation over rows${to}; n = ${n}`,
      ...{ groups, unit: 'attention', spread: 'sd' },
    };
  });
  return { pictures, values };
}

/** Numbers of all chunks, in the order of the rows. */
function chunksOf(chunks: readonly Masses[]) {
  return (head: number, answer: number, column: number) => chunks.flatMap((own) => own[head][answer][column]);
}

function assemble(
  context: StepContext,
  params: AttentionByRoleParams,
  results: ReadonlyMap<string, CellResult>,
): StepResult {
  const { pictures, values } = barsOf(context, params, results);
  const note = `The first position is shown ("${FIRST}"), as is what goes to no role ("${ELSEWHERE}"): the bars of an answer add up to 1${params.renormalise === true ? ' before they are divided' : ''}. Figures that leave the first position out hide how much of the attention it takes.`;
  return {
    title: 'Attention from the answers to each role',
    subtitle: pictures[0]?.subtitle ?? '',
    pictures,
    values,
    warnings: [note],
    ablation: 'none',
  };
}

/**
 * How much heads attend from where an answer is predicted to each role: mean, standard deviation and bootstrap interval (E3
 * of arXiv 2405.04156, which drops the first position without saying what it takes). A cell is 64 rows: one pass up to the
 * highest head.
 */
export const attentionByRole: StepKind<AttentionByRoleParams> = {
  name: 'attention-by-role',
  params: {
    type: 'object',
    description: 'How much heads attend from where an answer is predicted to each role of the data.',
    properties: {
      heads: paramSchemas.heads,
      roles: paramSchemas.roles,
      answers: paramSchemas.answers,
      renormalise: {
        type: 'boolean',
        default: false,
        description: 'Divides by what is not on the first position.',
      },
    },
    required: ['heads'],
    additionalProperties: false,
  },
  cells: (context, params) => {
    const { heads } = planOf(context, params);
    const share = (topLayer(heads) + 1) / context.model.config.nLayers / context.task.items.length;
    return rowChunks(context.task.items.length).map(({ id, rows }) => ({ id, passes: rows.length * share }));
  },
  run: runCell,
  assemble,
};
