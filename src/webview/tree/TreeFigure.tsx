import type { ComponentChildren, VNode } from 'preact';
import { useRef, useState } from 'preact/hooks';
import type { TreePicture } from '../../shared/treePicture.ts';
import { intervalText, numberText, spreadText, valueText } from '../charts/chartText.ts';
import { KeyList } from '../figures/KeyList.tsx';
import { type Read, ReadoutLine } from '../figures/Readout.tsx';
import type { Theme } from '../figures/theme.ts';
import { TreeBar } from './treeBar.tsx';
import {
  indent,
  rowHeight,
  type TreeAction,
  type TreeColumns,
  type TreeRow,
  treeColumns,
  treeKey,
  treeKeys,
  treeRows,
  visibleRows,
} from './treeModel.ts';

interface TreeFigureProps {
  readonly theme: Theme;
  readonly picture: TreePicture;
  readonly width: number;
  readonly heading: ComponentChildren;
  readonly selected: string | null;
  readonly onSelect: (id: string) => void;
  readonly onCopy: (text: string) => void;
  readonly onTable: () => void;
}

/** Id of an element; lines' own ids are text of any kind. */
const elementId = (picture: TreePicture, row: number): string => `tree-${picture.id.replace(/\W+/g, '-')}-${row}`;

function readOf({ line }: TreeRow, { unit, n }: TreePicture): Read {
  // The path down to a line says more than its last node.
  const name = line.kind === 'node' && line.id !== '' ? line.id : line.label;
  return {
    id: line.id,
    name,
    spoken: name,
    said: valueText(line.value, unit),
    note: spreadText({ ...line, sd: null, n }, unit),
  };
}

interface LineProps {
  readonly theme: Theme;
  readonly picture: TreePicture;
  readonly columns: TreeColumns;
  readonly row: TreeRow;
  readonly id: string;
  readonly open: boolean;
  readonly active: boolean;
  readonly selected: boolean;
  readonly onPress: () => void;
  readonly onToggle: () => void;
}

function Line({ theme, picture, columns, row, id, open, active, selected, onPress, onToggle }: LineProps): VNode {
  const { line, hasChildren } = row;
  const twisty = hasChildren ? `codicon codicon-chevron-${open ? 'down' : 'right'}` : 'm-no-twisty';
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: keys are the tree's.
    <div
      id={id}
      role="treeitem"
      tabIndex={-1}
      class={`m-tree-line${active ? ' m-active' : ''}${line.kind === 'rest' ? ' m-rest' : ''}`}
      aria-level={line.depth + 1}
      aria-setsize={row.siblings}
      aria-posinset={row.place}
      aria-expanded={hasChildren ? open : undefined}
      aria-selected={selected}
      style={{ height: `${rowHeight}px` }}
      onClick={onPress}
    >
      <span class="m-tree-label" style={{ width: `${columns.label}px`, paddingLeft: `${line.depth * indent}px` }}>
        <span
          class={twisty}
          aria-hidden="true"
          onClick={(event) => {
            if (!hasChildren) return;
            event.stopPropagation();
            onToggle();
          }}
        />
        <span class="m-tree-name" title={line.label}>
          {line.label}
        </span>
      </span>
      <svg width={columns.bar} height={rowHeight} aria-hidden="true">
        <TreeBar theme={theme} picture={picture} line={line} width={columns.bar} />
      </svg>
      <span class="m-tree-value" style={{ width: `${columns.value}px` }}>
        {numberText(line.value, picture.unit)}
      </span>
      {columns.interval === 0 ? null : <span class="m-tree-interval">{intervalText(line.interval, picture.unit)}</span>}
    </div>
  );
}

/** A set with an id put in or taken out. */
function toggled(closed: ReadonlySet<string>, id: string): ReadonlySet<string> {
  const next = new Set(closed);
  if (!next.delete(id)) next.add(id);
  return next;
}

/** A tree that can be opened, read and gone through by keyboard. One tab stop; see `treeKeys`. */
export function TreeFigure(props: TreeFigureProps): VNode {
  const { theme, picture, width, selected } = props;
  const tree = useRef<HTMLDivElement>(null);
  const [closed, setClosed] = useState<ReadonlySet<string>>(new Set());
  const [activeId, setActive] = useState<string | null>(null);
  const [keysShown, setKeysShown] = useState(false);
  const columns = treeColumns(picture, width);
  const visible = visibleRows(treeRows(picture.lines), closed);
  const active = visible.find(({ line }) => line.id === (activeId ?? selected)) ?? visible[0];
  const idOf = ({ index }: TreeRow): string => elementId(picture, index);
  const select = (row: TreeRow): void => {
    setActive(row.line.id);
    props.onSelect(row.line.id);
  };
  const act = (action: TreeAction): void => {
    if (action.type === 'move') {
      setActive(action.to.line.id);
      document.getElementById(idOf(action.to))?.scrollIntoView({ block: 'nearest' });
    } else if (action.type === 'open' || action.type === 'close') setClosed(toggled(closed, action.row.line.id));
    else if (action.type === 'select') select(active);
    else if (action.type === 'copy') props.onCopy(`${active.line.id || active.line.label}\t${active.line.value}`);
    else if (action.type === 'table') props.onTable();
    else if (action.type === 'keys') setKeysShown(!keysShown);
    else if (keysShown) setKeysShown(false);
    else tree.current?.blur();
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const press = { key: event.key, ctrl: event.ctrlKey || event.metaKey, alt: event.altKey };
    const action = treeKey(visible, active, closed, press);
    if (action === null) return;
    event.preventDefault();
    event.stopPropagation();
    act(action);
  };
  return (
    <figure class="m-figure m-tree-figure" aria-label={picture.title}>
      <div class="m-heading">{props.heading}</div>
      <div
        ref={tree}
        role="tree"
        class="m-tree"
        tabIndex={0}
        aria-label={`${picture.title}. Arrow keys read and open its lines; question mark lists the keys.`}
        aria-activedescendant={idOf(active)}
        onKeyDown={onKeyDown}
      >
        {visible.map((row) => (
          <Line
            key={row.line.id}
            {...{ theme, picture, columns, row }}
            id={idOf(row)}
            open={!closed.has(row.line.id)}
            active={row === active}
            selected={row.line.id === selected}
            onPress={() => select(row)}
            onToggle={() => setClosed(toggled(closed, row.line.id))}
          />
        ))}
      </div>
      {keysShown ? <KeyList keys={treeKeys} /> : null}
      <ReadoutLine read={readOf(active, picture)} />
    </figure>
  );
}
