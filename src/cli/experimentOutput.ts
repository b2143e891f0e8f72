import type { ExperimentOutcome, StepOutcome } from '../shared/experimentRun.ts';
import { expectedRange, isFailure } from '../shared/experimentRun.ts';
import type { CheckedNumber } from '../shared/figures.ts';
import { count, duration, signed } from '../shared/format.ts';
import { table } from './table.ts';

/** Values that are listed of each step that nothing is expected of. */
const SHOWN_VALUES = 6;

function state({ state: own, cells, reused }: StepOutcome): string {
  if (own === 'failed' || own === 'waiting') return own;
  const kept = reused > 0 ? `, ${count(reused)} from before` : '';
  return `${count(cells.done)} of ${count(cells.total)} cells${kept}`;
}

function stepRows(steps: readonly StepOutcome[]): string[][] {
  return steps.map((step) => [
    step.step,
    step.analysis,
    state(step),
    count(step.cost.forwardPasses),
    step.cost.seconds < 60 ? `${step.cost.seconds.toFixed(1)} s` : duration(step.cost.seconds),
  ]);
}

function verdict(check: CheckedNumber): string {
  if (check.note !== undefined) return check.passed ? `pass (${check.note})` : `not counted: ${check.note}`;
  return isFailure(check) ? 'FAIL' : 'pass';
}

function checksText(steps: readonly StepOutcome[]): string[] {
  const rows = steps.flatMap(({ step, checks }) =>
    checks.map((check) => [
      `${step} ${check.name}`,
      check.value === null ? 'none' : signed(check.value),
      expectedRange(check),
      verdict(check),
      check.source,
    ]),
  );
  if (rows.length === 0) return [];
  const counted = steps.flatMap(({ checks }) => checks.filter(({ note }) => note === undefined));
  const passed = counted.filter((check) => !isFailure(check)).length;
  const columns = ['expected', 'ours', 'range', '', 'source'].map((title, i) => ({
    ...{ title, align: i === 1 || i === 2 ? ('right' as const) : ('left' as const) },
  }));
  return [table(columns, rows), '', `${passed} of ${counted.length} numbers as expected.`, ''];
}

function valuesText(steps: readonly StepOutcome[]): string[] {
  return steps.flatMap(({ step, checks, values }) => {
    const entries = Object.entries(values);
    if (checks.length > 0 || entries.length === 0) return [];
    const shown = entries.slice(0, SHOWN_VALUES).map(([name, value]) => `${name} ${signed(value)}`);
    const left = entries.length > SHOWN_VALUES ? `, and ${count(entries.length - SHOWN_VALUES)} more values` : '';
    return [`${step}: ${shown.join(', ')}${left}`];
  });
}

/** Steps, what was expected of them, and where the results are, for people. */
export function experimentText(outcome: ExperimentOutcome): string {
  const { experiment, model, rows, refused, steps, results } = outcome;
  const left = refused > 0 ? `, ${count(refused)} refused` : '';
  const columns = ['step', 'analysis', 'state', 'forward passes', 'time'].map((title, i) => ({
    ...{ title, align: i > 2 ? ('right' as const) : ('left' as const) },
  }));
  const messages = steps.flatMap(({ step, message }) => (message === null ? [] : [`${step}: ${message}`]));
  const values = valuesText(steps);
  return [
    `${experiment} · ${model} · ${count(rows)} rows${left}`,
    '',
    table(columns, stepRows(steps)),
    '',
    ...messages,
    ...(messages.length > 0 ? [''] : []),
    ...checksText(steps),
    ...values,
    ...(values.length > 0 ? [''] : []),
    `Results: ${results}`,
    '',
  ].join('\n');
}
