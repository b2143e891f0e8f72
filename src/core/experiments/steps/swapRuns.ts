import { MechanistError } from '../../../shared/errors.ts';
import type { Intervention } from '../../../shared/intervention.ts';
import type { MetricSpec } from '../../../shared/metric.ts';
import type { PackedArray } from '../../../shared/packedArray.ts';
import { HeadWeights } from '../../engine/headWeights.ts';
import type { NamedRuns } from '../../engine/interventions/namedRuns.ts';
import type { CellResult, StepCell, StepContext } from '../stepKind.ts';
import { idPart, type RowChunk, rowChunks } from './cellIds.ts';
import { type Head, layerHooks } from './heads.ts';
import { countedPasses } from './passes.ts';
import { pairPositions, type RolePair } from './rolePairs.ts';
import { blankRows, Patterns, type RowGroup, rowGroups, shortNumber } from './rowGroups.ts';
import { readLogits, type ScoredLogits, type Scoring, scoreLogits } from './scoreAnswers.ts';
import { ownAnswers } from './taskRows.ts';

/** One way to run the rows. */
export interface Condition {
  /** `clean`, `positions`, `first`, `both` */
  readonly name: string;
  /** Exchanges the position embeddings of the pair; in rotary models, the angles by which its queries and keys are turned. */
  readonly positions: boolean;
  /** Heads whose attention to the first position is that of the clean run, exchanged between the pair. */
  readonly first: readonly Head[];
}

/** What is measured under several conditions, on every row. */
export interface SwapStep {
  readonly pairs: readonly RolePair[];
  /** The first one is the unchanged run. */
  readonly conditions: readonly Condition[];
  readonly heads: readonly Head[];
  /** Roles that the heads attend to. */
  readonly to: readonly string[];
  readonly answers: readonly string[];
  readonly metric: MetricSpec;
  /** Divides the changed rows of the patterns by their sums. */
  readonly renormalise: boolean;
  /** Queries whose attention to the first position is set: all, as published, or the pair's only. */
  readonly queries: 'all' | 'pair';
}

export interface SwapCellResult {
  /** `[condition][head][answer][role][row of the chunk]` */
  readonly attention: readonly (readonly (readonly (readonly (readonly (number | null)[])[])[])[])[];
  /** `[condition][answer][row of the chunk]` */
  readonly metric: readonly (readonly (readonly (number | null)[])[])[];
  readonly forwardPasses: number;
}

export function swapCell(pair: RolePair, chunk: RowChunk): string {
  return `${idPart(pair.name)}/${chunk.id}`;
}

export function swapCells({ task }: StepContext, { pairs, conditions }: SwapStep): readonly StepCell[] {
  return pairs.flatMap((pair) =>
    rowChunks(task.items.length).map((chunk) => ({
      id: swapCell(pair, chunk),
      passes: (conditions.length * chunk.rows.length) / task.items.length,
    })),
  );
}

const patternHook = (layer: number) => `blocks.${layer}.attn.hook_pattern`;

/** Clean patterns in which the two positions' attention to the first one is exchanged, in every head. */
function exchanged(pattern: PackedArray, [a, b]: readonly [number, number]): PackedArray {
  const [items, heads, queries, keys] = pattern.dims;
  const data = pattern.data.slice();
  for (let map = 0; map < items * heads; map += 1) {
    const at = (query: number) => (map * queries + query) * keys;
    data[at(a)] = pattern.data[at(b)];
    data[at(b)] = pattern.data[at(a)];
  }
  return { dims: pattern.dims, data };
}

/**
 * Lets the part of a head's values that no token changes count once, whatever its row of the pattern adds up to: it is taken
 * from the values and added to z, as if it were folded into the output bias, which published numbers presuppose.
 */
async function countConstantsOnce({ runner }: StepContext, heads: readonly Head[]): Promise<Intervention[]> {
  const { nHeads, nKeyValueHeads } = runner.config;
  const perKey = nHeads / nKeyValueHeads;
  const groups = [...new Map(heads.map((head) => [`${head.layer}.${Math.floor(head.head / perKey)}`, head])).values()];
  const found: Intervention[] = [];
  for (const { layer, head } of groups) {
    const constant = [...(await HeadWeights.read(runner, layer)).constantValue(head)];
    if (constant.every((value) => value === 0)) continue;
    const key = Math.floor(head / perKey);
    const queries = Array.from({ length: perKey }, (_, i) => key * perKey + i);
    found.push(
      { kind: 'add', at: { hook: `blocks.${layer}.attn.hook_v`, heads: [key] }, vector: constant, factor: -1 },
      { kind: 'add', at: { hook: `blocks.${layer}.attn.hook_z`, heads: queries }, vector: constant },
    );
  }
  return found;
}

function interventionsOf(
  step: SwapStep,
  condition: Condition,
  pair: readonly [number, number],
  rotary: boolean,
): Intervention[] {
  const layers = [...new Set(condition.first.map(({ layer }) => layer))];
  const bos = layers.map(
    (layer): Intervention => ({
      kind: 'patch',
      at: {
        hook: patternHook(layer),
        heads: condition.first.filter((head) => head.layer === layer).map(({ head }) => head),
        // The first key alone.
        neurons: [0],
        ...(step.queries === 'pair' && { positions: pair }),
      },
      from: { run: 'exchanged' },
      ...(step.renormalise && { renormalise: true }),
    }),
  );
  if (rotary) return bos;
  const swap: Intervention = { kind: 'swapPositions', at: { hook: 'hook_pos_embed' }, pairs: [pair] };
  return condition.positions ? [swap, ...bos] : bos;
}

/** Every position's own, but for the two that are exchanged. */
function exchangedPositions(length: number, [a, b]: readonly [number, number]): number[] {
  return Array.from({ length }, (_, at) => (at === a ? b : at === b ? a : at));
}

/** Runs a batch under every condition: patterns at the answers, and logits. */
async function runGroup(
  context: StepContext,
  step: SwapStep,
  { tokens, positions }: RowGroup,
  pair: readonly [number, number],
  scoring: Scoring,
  take: (condition: number, patterns: Patterns, logits: ScoredLogits) => void,
): Promise<void> {
  const { runner, signal } = context;
  const rotary = runner.config.positions.kind === 'rotary';
  const swapped = step.conditions.flatMap(({ first }) => first);
  const recorded = new Map<string, PackedArray>();
  if (swapped.length > 0) {
    const hooks = layerHooks(swapped, 'attn.hook_pattern');
    const clean = await runner.run(tokens, { hooks, signal });
    for (const [hook, pattern] of clean.activations) recorded.set(hook, exchanged(pattern, pair));
  }
  const hooks = layerHooks(step.heads, 'attn.hook_pattern');
  for (const [index, condition] of step.conditions.entries()) {
    await context.giveWay?.();
    const once = step.renormalise ? [] : await countConstantsOnce(context, condition.first);
    const interventions = [...interventionsOf(step, condition, pair, rotary), ...once];
    const turnedAs = rotary && condition.positions ? exchangedPositions(tokens[0].length, pair) : undefined;
    const runs: NamedRuns = condition.first.length > 0 ? { exchanged: recorded } : {};
    const run = await runner.runWith(tokens, { interventions, runs, hooks, positions, turnedAs, signal });
    take(index, new Patterns(run.activations, positions), await readLogits(run, scoring, signal));
  }
}

/**
 * Runs the rows of a chunk under every condition for one pair: attention from the answers to roles, and the metric. One
 * forward pass a condition, and one for the clean patterns.
 */
export async function runSwap(context: StepContext, step: SwapStep, cell: StepCell): Promise<CellResult> {
  const { task } = context;
  const chunks = rowChunks(task.items.length);
  const pair = step.pairs.find((own) => chunks.some((chunk) => swapCell(own, chunk) === cell.id));
  const chunk = chunks.find((own) => pair !== undefined && swapCell(pair, own) === cell.id);
  if (pair === undefined || chunk === undefined) throw new MechanistError('internal', `There is no cell ${cell.id}.`);
  const { conditions, heads, answers, to } = step;
  const counted = countedPasses(context);
  const blank = () => blankRows(chunk.rows.length);
  const attention = conditions.map(() => heads.map(() => answers.map(() => to.map(blank))));
  const metric = conditions.map(() => answers.map(blank));
  const able = chunk.rows.filter((row) => pairPositions(task.items[row], pair) !== null);
  for (const group of rowGroups(task, able, answers, (item) => String(pairPositions(item, pair)))) {
    const positions = pairPositions(group.items[0], pair);
    if (positions === null || Math.max(...positions) >= group.tokens[0].length) continue;
    const targets = group.items.map((item) => ownAnswers(item, answers));
    const scoring = { metric: step.metric, targets, positions: group.positions };
    let clean: ScoredLogits | null = null;
    await runGroup(context, step, group, positions, scoring, (condition, patterns, logits) => {
      clean ??= logits;
      const scores = scoreLogits(logits, scoring, clean);
      group.items.forEach(({ roles }, i) => {
        const row = chunk.rows.indexOf(group.rows[i]);
        targets[i].forEach(({ name, position }, t) => {
          const a = answers.indexOf(name);
          metric[condition][a][row] = shortNumber(scores[i][t]);
          heads.forEach((head, h) => {
            to.forEach((role, r) => {
              const keys = roles[role];
              if (keys !== undefined)
                attention[condition][h][a][r][row] = shortNumber(patterns.mass(i, head, position, keys));
            });
          });
        });
      });
    });
  }
  return { attention, metric, forwardPasses: counted() };
}
