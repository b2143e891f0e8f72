import type { CheckedNumber } from '../../../shared/figures.ts';
import type { Expectation } from './experimentTypes.ts';

/** Rounding that a bound forgives, relative to it: ranges are written in decimals. */
const ROUNDING = 1e-9;

function within(value: number, low: number | null, high: number | null): boolean {
  const slack = ROUNDING * Math.max(1, Math.abs(low ?? 0), Math.abs(high ?? 0));
  return (low === null || value >= low - slack) && (high === null || value <= high + slack);
}

/** The numbers of a step beside what its expectations say. One that is meant for another model does not count. */
export function checkNumbers(
  values: Readonly<Record<string, number>>,
  expect: readonly Expectation[],
  model: { readonly ref: string; readonly names: readonly string[] },
): readonly CheckedNumber[] {
  return expect.map((expectation) => {
    const { value: name, low, high, source } = expectation;
    const value = Object.hasOwn(values, name) ? values[name] : null;
    const other = expectation.model !== undefined && !model.names.includes(expectation.model);
    const missing = value === null ? 'the step has no such value' : undefined;
    const note = other ? `expected of ${expectation.model}, this is ${model.ref}` : (expectation.note ?? undefined);
    const passed = value !== null && within(value, low, high);
    return {
      ...{ name, value, low, high, passed },
      source: [source, missing].filter(Boolean).join('; '),
      ...(note !== undefined && { note }),
    };
  });
}
