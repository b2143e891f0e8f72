import type { VNode } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { DatasetRowView } from '../../shared/datasetView.ts';
import { visibleToken } from '../../shared/format.ts';
import { KeyList } from '../figures/KeyList.tsx';
import { ReadoutLine } from '../figures/Readout.tsx';
import type { DatasetPanelProps } from './DatasetPanel.tsx';
import { readOf } from './datasetText.ts';
import { nextSelection, type Selection } from './listKeyboard.ts';
import { cellId, cellOf, columnWidths, RowCells } from './RowCells.tsx';

/** Height of a row in px: tokens and roles, and a line of corrupted tokens where they are shown. */
const ROW = 44;
const ROW_WITH_CORRUPTED = 60;
/** Rows that are asked for above and below those in sight. */
const AHEAD = 40;
/** What stands below the list: the read-out and the panel's edge, in px. */
const BELOW = 62;

const KEYS = [
  ['arrows', 'next row, next token'],
  ['Home, End', 'ends of the row'],
  ['Ctrl+Home, Ctrl+End', 'first row, last row'],
  ['Page Up, Page Down', 'ten rows'],
  ['n, p', 'next, previous refused row in sight'],
  ['Enter', 'open the line in the text'],
  ['c', 'copy the row’s tokens'],
  ['?', 'this list'],
] as const;

interface RowListProps extends DatasetPanelProps {
  /** Listed rows. */
  readonly total: number;
}

/** Rows of the window by their place in the list. */
function knownRows({ state, view }: RowListProps): ReadonlyMap<number, DatasetRowView> {
  const { window: shown } = state;
  if (shown === null || shown.filter !== view.filter) return new Map();
  return new Map(shown.rows.map((row, i) => [shown.from + i, row]));
}

/** Asks for the rows around those in sight when they are not there. */
function useWindow(props: RowListProps, first: number, last: number, known: ReadonlyMap<number, unknown>): void {
  const { view, total, actions, state } = props;
  const asked = useRef('');
  const missing = !known.has(first) || !known.has(Math.min(last, total - 1));
  useEffect(() => {
    const from = Math.max(0, first - AHEAD);
    const count = last - from + 1 + AHEAD;
    const key = JSON.stringify([state.summary?.key, view.filter, from, count]);
    if (!missing || asked.current === key) return;
    asked.current = key;
    actions.ask(view.filter, from, count);
  });
}

/** Where the text of a row is opened: at what is wrong with it. */
function placeOf(row: DatasetRowView): number {
  return row.problems.find(({ severity }) => severity === 'error')?.column ?? 0;
}

/** How much stands above an element of the page, in px. */
function useAbove(): { readonly above: number; readonly measure: (element: HTMLElement | null) => void } {
  const [above, setAbove] = useState(110);
  const measure = (element: HTMLElement | null) => {
    if (element !== null) setAbove(Math.round(element.getBoundingClientRect().top + window.scrollY));
  };
  return { above, measure };
}

function useScroll(props: RowListProps, rowHeight: number, listHeight: number) {
  const { view, actions } = props;
  const element = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(view.scroll);
  useEffect(() => {
    element.current?.scrollTo({ top: view.scroll });
    setTop(view.scroll);
  }, [view.filter]);
  const onScroll = () => {
    const now = element.current?.scrollTop ?? 0;
    setTop(now);
    actions.setView({ scroll: now });
  };
  /** Brings a row into sight, under the head of the list. */
  const reveal = (row: number) => {
    const list = element.current;
    if (list === null) return;
    const head = 20;
    const at = row * rowHeight;
    if (at < list.scrollTop) list.scrollTop = at;
    else if (at + rowHeight > list.scrollTop + listHeight - head) list.scrollTop = at + rowHeight - listHeight + head;
  };
  return { element, top, onScroll, reveal };
}

/** The list: only the rows in sight are drawn. One stop of the keyboard. */
export function RowList(props: RowListProps): VNode {
  const { view, total, height, actions } = props;
  const rowHeight = view.corruption === null ? ROW : ROW_WITH_CORRUPTED;
  const { above, measure } = useAbove();
  const listHeight = Math.max(5 * rowHeight, Math.min(height - above - BELOW, total * rowHeight + 40));
  const { element, top, onScroll, reveal } = useScroll(props, rowHeight, listHeight);
  useLayoutEffect(() => measure(element.current));
  const first = Math.min(total - 1, Math.floor(top / rowHeight));
  const last = Math.min(total - 1, Math.ceil((top + listHeight) / rowHeight));
  const known = knownRows(props);
  useWindow(props, first, last, known);
  const widths = useRef<number[]>([]);
  widths.current = columnWidths([...known.values()], view.corruption, widths.current);
  const selected = known.get(view.row);

  const open = (row: DatasetRowView | undefined) => {
    if (row) actions.openLine(row.line, placeOf(row));
  };
  const select = ({ row, token }: Selection) => {
    actions.setView({ row, token });
    reveal(row);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const next = nextSelection(event, view, total, known);
    if (next !== null) select(next);
    else if (event.key === 'Enter') open(selected);
    else if (event.key === 'c' && selected && !event.ctrlKey && !event.metaKey)
      actions.copy(selected.tokens.map(({ text }) => visibleToken(text)).join(' '));
    else if (event.key === '?') actions.setView({ keys: !view.keys });
    else return;
    event.preventDefault();
  };
  return (
    <>
      <div ref={element} class="d-list" style={{ height: `${listHeight}px` }} onScroll={onScroll}>
        <table
          // biome-ignore lint/a11y/noNoninteractiveElementToInteractiveRole: a table whose cells are reached by arrows is a grid.
          role="grid"
          aria-label="Rows in tokens"
          aria-rowcount={total + 1}
          aria-activedescendant={cellId(view.row, view.token)}
          tabIndex={0}
          onKeyDown={onKeyDown}
          onClick={({ target }) => {
            const cell = cellOf(target);
            if (cell !== null) select(cell);
          }}
          onDblClick={({ target }) => open(known.get(cellOf(target)?.row ?? -1))}
        >
          <thead>
            <tr class="d-head" aria-rowindex={1}>
              <th scope="col" class="d-id">
                line
              </th>
              {widths.current.map((width, i) => (
                <th key={i} scope="col" class="d-position" style={{ width: `${width}ch` }}>
                  {i + 1}
                </th>
              ))}
            </tr>
          </thead>
          <tbody style={{ paddingTop: `${first * rowHeight}px`, paddingBottom: `${(total - 1 - last) * rowHeight}px` }}>
            {Array.from({ length: last - first + 1 }, (_, i) => first + i).map((index) => (
              <RowCells
                key={index}
                index={index}
                row={known.get(index)}
                height={rowHeight}
                widths={widths.current}
                corruption={view.corruption}
                selected={index === view.row ? view.token : null}
              />
            ))}
          </tbody>
        </table>
      </div>
      <ReadoutLine read={selected && readOf(selected, view.token, view.corruption)} />
      {view.keys ? <KeyList keys={KEYS} /> : null}
    </>
  );
}
