import type { DatasetHeader, DatasetRow } from '../../../shared/dataset.ts';
import { MechanistError } from '../../../shared/errors.ts';
import { count } from '../../../shared/format.ts';

export interface MakeOptions {
  readonly rows: number;
  readonly seed: number;
}

/** A generated dataset: a header, its rows, and what was drawn and refused. */
export interface MadeDataset {
  readonly header: Omit<DatasetHeader, 'line'>;
  readonly rows: readonly DatasetRow[];
  /** Reason → number of draws that were refused for it. */
  readonly refused: Readonly<Record<string, number>>;
}

/** Draws allowed for each row: where nearly all are refused the list is as long as it gets. */
const DRAWS_PER_ROW = 200;

/** A draw: a row but for its id, or why there is none. */
export type Draw = Omit<DatasetRow, 'id'> | string;

/**
 * Draws rows until there are enough, no text twice. Ids count from 1.
 * @param what `acronyms`, for messages
 * @param draw is told how many rows there are
 * @throws MechanistError `bad-input` when no row is good, with the reasons
 */
export function drawRows(
  what: string,
  { rows: wanted }: MakeOptions,
  draw: (index: number) => Draw,
): Pick<MadeDataset, 'rows' | 'refused'> {
  if (!Number.isSafeInteger(wanted) || wanted < 1) {
    throw new MechanistError('bad-input', `At least 1 row must be made, not ${wanted}.`);
  }
  const rows: DatasetRow[] = [];
  const refused: Record<string, number> = {};
  const seen = new Set<string>();
  for (let draws = 0; rows.length < wanted && draws < DRAWS_PER_ROW * (wanted + 50); draws++) {
    const found = draw(rows.length);
    const reason = typeof found === 'string' ? found : seen.has(found.clean) ? 'the same text again' : null;
    if (reason !== null) refused[reason] = (refused[reason] ?? 0) + 1;
    else if (typeof found !== 'string') {
      seen.add(found.clean);
      rows.push({ id: String(rows.length + 1), ...found });
    }
  }
  if (rows.length > 0) return { rows, refused };
  const reasons = Object.entries(refused).map(([reason, times]) => `${reason} (${count(times)})`);
  throw new MechanistError(
    'bad-input',
    `No row of ${what} can be made for this model's tokenizer. Refused: ${reasons.join(', ')}. Take another task or model.`,
    { refused },
  );
}
