import { readFile } from 'node:fs/promises';
import { huggingFaceTokenizer } from '../../src/core/models/huggingFaceTokenizer.ts';
import { datasetLine } from '../../src/core/tasks/dataset.ts';
import { DatasetBook } from '../../src/core/tasks/datasetBook.ts';
import { headerLine } from '../../src/core/tasks/datasetHeader.ts';
import { makeAcronyms } from '../../src/core/tasks/make/acronyms.ts';
import { makeIoi } from '../../src/core/tasks/make/ioi.ts';
import type { DatasetPanelState } from '../../src/shared/datasetPanelProtocol.ts';

/** Rows of the acronym model, some of them spoilt: another token at a role, and a line that is no JSON. */
export async function acronymText(rows: number): Promise<string> {
  const tokenizer = await huggingFaceTokenizer('models/acronyms');
  const made = makeAcronyms(tokenizer, { letters: 3, rows, seed: 1 });
  const lines = made.rows.map((row, i) =>
    i % 9 === 4 ? datasetLine({ ...row, roles: { ...row.roles, C1: [3] } }) : datasetLine(row),
  );
  return (
    headerLine({ ...made.header, model: 'acronyms' }) + lines.with(6, `${lines[6].trimEnd().slice(0, -1)},}\n`).join('')
  );
}

/** A dataset of the bundled model small-world. */
export async function ioiText(rows: number): Promise<string> {
  const made = makeIoi(await huggingFaceTokenizer('models/small-world'), { rows, seed: 1 });
  return headerLine({ ...made.header, model: 'small-world' }) + made.rows.map(datasetLine).join('');
}

/** A text in the tokens of a bundled model, as the engine reads it. */
export async function readBook(text: string, model: 'acronyms' | 'small-world' | null): Promise<DatasetBook> {
  const reader = model && { tokenizer: await huggingFaceTokenizer(`models/${model}`), nCtx: await contextOf(model) };
  return await DatasetBook.read(text, { key: '3f9a1c7e55'.repeat(6), model, reader });
}

async function contextOf(model: string): Promise<number> {
  const { n_positions: nCtx } = JSON.parse(await readFile(`models/${model}/config.json`, 'utf8'));
  return nCtx;
}

/** What the panel shows of a book: its first rows, or those that are asked for. */
export function panelState(book: DatasetBook, change: Partial<DatasetPanelState> = {}): DatasetPanelState {
  const { summary } = book;
  const refused = summary.refused === 0 ? '' : `, ${summary.refused} refused`;
  return {
    title: 'acronyms.jsonl',
    finding: `${summary.good} rows${refused}`,
    summary,
    window: { filter: 'all', from: 0, rows: book.rows({ by: 'index', from: 0, count: 80 }) },
    notice: null,
    ...change,
  };
}
