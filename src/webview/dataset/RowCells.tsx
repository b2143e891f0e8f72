import type { VNode } from 'preact';
import type { DatasetRowView } from '../../shared/datasetView.ts';
import { shortToken, visibleToken } from '../../shared/format.ts';
import { answersAt, changedAt, rolesAt, whyRefused } from './datasetText.ts';

/** Characters of a token, or of a role, that a cell shows. */
const WIDEST = 12;
const NARROWEST = 3;

/** What is written under a token: its roles, and the answers that are read there. */
function marksAt(row: DatasetRowView, position: number): { roles: string; answers: string } {
  const alone = row.answers.length === 1;
  const answers = answersAt(row, position).map(({ name, answer }) => `${alone ? '' : name}→${visibleToken(answer)}`);
  return { roles: rolesAt(row, position).join(' '), answers: answers.join(' ') };
}

/** Width of each position in characters: never less than before, so that nothing moves while rows arrive. */
export function columnWidths(
  rows: readonly DatasetRowView[],
  corruption: string | null,
  before: readonly number[],
): number[] {
  const widths = [...before];
  for (const row of rows) {
    row.tokens.forEach(({ text }, i) => {
      const { roles, answers } = marksAt(row, i);
      const marks = roles.length + answers.length + (roles && answers ? 1 : 0);
      const changed = changedAt(row, corruption, i)?.length ?? 0;
      // Marks are smaller than tokens.
      const needed = Math.max(visibleToken(text).length, changed, Math.ceil(marks * 0.8), NARROWEST);
      widths[i] = Math.max(widths[i] ?? 0, Math.min(WIDEST, needed) + 1);
    });
  }
  return widths;
}

interface CellProps {
  readonly row: DatasetRowView;
  readonly position: number;
  readonly index: number;
  readonly width: number;
  readonly corruption: string | null;
  readonly selected: boolean;
}

/** Id of the element that shows a token of a listed row; −1: the row's head. */
export function cellId(row: number, token: number): string {
  return `row ${row} ${token}`.replaceAll(' ', '_');
}

/** Row and token of the cell that an event came from. */
export function cellOf(target: EventTarget | null): { readonly row: number; readonly token: number } | null {
  const found = /^row_(\d+)_(-?\d+)$/.exec((target as Element | null)?.closest('td')?.id ?? '');
  return found === null ? null : { row: Number(found[1]), token: Number(found[2]) };
}

function TokenCell({ row, position, index, width, corruption, selected }: CellProps): VNode {
  const { text } = row.tokens[position];
  const { roles, answers } = marksAt(row, position);
  const changed = changedAt(row, corruption, position);
  return (
    <td id={cellId(index, position)} class={selected ? 'd-cell d-selected' : 'd-cell'} style={{ width: `${width}ch` }}>
      <span class={changed === null ? 'd-text' : 'd-text d-changed'}>{shortToken(text, WIDEST)}</span>
      {corruption === null ? null : (
        <span class="d-text d-corrupted">{changed === null ? '' : shortToken(changed, WIDEST)}</span>
      )}
      <span class="d-marks">
        {roles}
        {answers === '' ? null : <strong>{roles === '' ? answers : ` ${answers}`}</strong>}
      </span>
    </td>
  );
}

interface RowProps {
  readonly index: number;
  /** Absent until it has arrived. */
  readonly row: DatasetRowView | undefined;
  readonly height: number;
  readonly widths: readonly number[];
  readonly corruption: string | null;
  /** Selected token of this row; null: the selection is in another row. */
  readonly selected: number | null;
}

/** One row: its line, its tokens, and why it is refused. */
export function RowCells(props: RowProps): VNode {
  const { index, row, height, widths, corruption, selected } = props;
  const classes = ['d-row', row?.refused ? 'd-refused' : '', selected === null ? '' : 'd-current'];
  return (
    <tr class={classes.join(' ')} aria-rowindex={index + 2} style={{ height: `${height}px` }}>
      <td id={cellId(index, -1)} class={selected === -1 ? 'd-id d-selected' : 'd-id'}>
        {row?.refused ? <span class="codicon codicon-error" role="img" aria-label="refused" /> : null}
        {row === undefined ? '' : row.line + 1}
      </td>
      {row?.tokens.map((_, position) => (
        <TokenCell
          key={position}
          row={row}
          position={position}
          index={index}
          width={widths[position] ?? NARROWEST}
          corruption={corruption}
          selected={selected === position}
        />
      ))}
      {row?.refused ? <td class={row.tokens.length > 0 ? 'd-why d-under' : 'd-why'}>{whyRefused(row)}</td> : null}
      {row && !row.refused && row.tokens.length === 0 ? <td class="d-why">{visibleToken(row.text)}</td> : null}
      {row === undefined ? <td class="d-why">…</td> : null}
    </tr>
  );
}
