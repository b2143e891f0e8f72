import type { CellResult, StepContext, StepKind, StepResult } from './stepKind.ts';

/** Runs a step outside an experiment, all its cells one after another. Keeps nothing. */
export async function runAlone<P>(context: StepContext, kind: StepKind<P>, params: P): Promise<StepResult> {
  const results = new Map<string, CellResult>();
  for (const cell of kind.cells(context, params)) results.set(cell.id, await kind.run(context, params, cell));
  return kind.assemble(context, params, results);
}
