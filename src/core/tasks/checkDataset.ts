import type { DatasetEntry, DatasetProblem } from '../../shared/dataset.ts';
import type { Tokenizer } from '../models/tokenizer.ts';
import { readDataset } from './dataset.ts';
import { reporter } from './datasetReport.ts';
import { type DatasetItem, DatasetResolver } from './datasetResolve.ts';
import { checkCorruptions } from './taskCorruptions.ts';
import { AnswerNames } from './taskRows.ts';
import { TokenSets } from './tokenSets.ts';

/** A line of a dataset, held against a model. */
export interface CheckedEntry {
  readonly entry: DatasetEntry;
  /** Null on the header's line, and when the row cannot be run. */
  readonly item: DatasetItem | null;
  readonly problems: readonly DatasetProblem[];
}

/**
 * Everything that is wrong with a dataset for one model, line by line, in memory for one line (and the ids): all that a row
 * and the header tell. What only all rows together tell (values that collide, answers that are all alike) is left to
 * `loadTaskSet`. No forward passes.
 * @throws MechanistError `cancelled`
 */
export async function* checkDataset(
  chunks: AsyncIterable<string> | Iterable<string>,
  tokenizer: Tokenizer,
  nCtx: number,
  options: { readonly signal?: AbortSignal } = {},
): AsyncGenerator<CheckedEntry> {
  const resolver = new DatasetResolver(tokenizer, nCtx);
  const answers = new AnswerNames();
  let sets = new TokenSets(null, tokenizer);
  for await (const entry of readDataset(chunks, options)) {
    if (entry.header !== sets.header) sets = new TokenSets(entry.header, tokenizer);
    const resolved = resolver.resolve(entry);
    const problems = [...resolved.problems];
    const { item } = resolved;
    const report = reporter(entry.text, entry.line, problems);
    const good =
      item !== null &&
      entry.row !== null &&
      answers.fit(item, report) &&
      checkCorruptions({ entry, row: entry.row, item }, sets, report);
    yield { entry, item: good ? item : null, problems };
  }
}
