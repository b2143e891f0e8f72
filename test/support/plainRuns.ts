import type { AnalysisEngine } from '../../src/core/analyses/analysisEngine.ts';
import type { Intervention } from '../../src/shared/intervention.ts';
import type { TaskItem } from '../../src/shared/taskSet.ts';

/** How a row is run, one row at a time and without any shortcut. */
export interface PlainRun {
  readonly tokens?: (row: TaskItem) => readonly number[];
  readonly interventions?: readonly Intervention[] | ((row: TaskItem) => readonly Intervention[]);
  /** Tokens of the run `other`. */
  readonly other?: (row: TaskItem) => readonly number[];
  /** Rotary models: positions by whose angles tokens are turned. */
  readonly turnedAs?: readonly number[];
}

/** Logit of the answer minus the largest foil's by a whole run with interventions: one number a row. */
export async function plainDifferences(
  { runner }: AnalysisEngine,
  rows: readonly TaskItem[],
  answer: string,
  { tokens = ({ ids }) => ids, interventions = [], other, turnedAs }: PlainRun = {},
): Promise<number[]> {
  const values: number[] = [];
  for (const row of rows) {
    const own = typeof interventions === 'function' ? interventions(row) : interventions;
    const runs = other && { other: [other(row)] };
    const result = await runner.runWith([tokens(row)], { interventions: own, turnedAs, ...(runs && { runs }) });
    const target = row.answers.find(({ name }) => name === answer);
    if (target === undefined) throw new Error(answer);
    const columns = [target.answer, ...target.foils];
    const [logit, ...foils] = (await result.logits({ positions: [target.position], columns })).data;
    values.push(logit - Math.max(...foils));
  }
  return values;
}

/** The pattern of a row, one prompt at a time: `[head][query][key]` of a layer. */
export async function plainPattern(
  { runner }: AnalysisEngine,
  tokens: readonly number[],
  layer: number,
  interventions: readonly Intervention[] = [],
  turnedAs?: readonly number[],
): Promise<number[][][]> {
  const hook = `blocks.${layer}.attn.hook_pattern`;
  const { activations } = await runner.runWith([tokens], { interventions, hooks: [hook], turnedAs });
  const pattern = activations.get(hook);
  if (pattern === undefined) throw new Error(hook);
  const [, heads, queries, keys] = pattern.dims;
  return Array.from({ length: heads }, (_, head) =>
    Array.from({ length: queries }, (__, query) => {
      const at = (head * queries + query) * keys;
      return Array.from(pattern.data.subarray(at, at + keys));
    }),
  );
}

export const average = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
