import type { StepContext } from '../experiments/stepKind.ts';
import { corpusShares, openCorpus } from './corpus.ts';
import { shareWindows, windowBatches } from './corpusWindows.ts';
import { positionOfRole } from './dataRows.ts';
import { CONTROL } from './pairSides.ts';

/** Texts of one length whose loss tells what an edit costs elsewhere. */
export interface ControlText {
  readonly tokens: readonly (readonly number[])[];
  /** Position from which on predictions count: before it an edit changes nothing. */
  readonly first: number;
  /** Edited positions. */
  readonly positions: readonly number[];
}

const from = (first: number, length: number) =>
  Array.from({ length: Math.max(0, length - first) }, (_, i) => first + i);

/** Rows tagged `control`: edited at the role, and where a row lacks it at every token but the first. */
function controlRows({ task }: StepContext, role: string): readonly ControlText[] {
  return task.items
    .filter(({ tags, ids }) => tags.includes(CONTROL) && ids.length > 1)
    .map((item) => {
      const position = positionOfRole(item, role);
      const first = position ?? 1;
      return { tokens: [item.ids], first, positions: position === undefined ? from(1, item.ids.length) : [position] };
    });
}

/**
 * Control texts of a step: rows of the data with the tag `control`, and texts of a file, edited at every token but the first.
 * @throws MechanistError `bad-input` as `openCorpus` and `documentsOf`
 */
export async function controlTexts(
  context: StepContext,
  role: string,
  file: string | undefined,
  tokens: number,
): Promise<readonly ControlText[]> {
  const rows = controlRows(context, role);
  if (file === undefined) return rows;
  const corpus = openCorpus(file, context.file(file), 'blank-line');
  const texts: ControlText[] = [];
  for (const share of corpusShares(corpus, tokens)) {
    const { windows } = await shareWindows(context.model, corpus, share);
    for (const batch of windowBatches(windows)) {
      const [{ ids, first }] = batch;
      texts.push({ tokens: batch.map((window) => window.ids), first, positions: from(first, ids.length) });
    }
  }
  return [...rows, ...texts];
}
