import type { RefObject } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { type MatrixAction, matrixKey } from './matrixKeyboard.ts';
import {
  type CellAt,
  cellAt,
  cellsBySize,
  findCell,
  type Geometry,
  geometryOf,
  type MatrixModel,
} from './matrixModel.ts';
import type { MatrixFigureProps } from './matrixProps.ts';
import { copyOfCell, copyOfRow } from './matrixText.ts';
import { type Hover, useHover } from './useHover.ts';

/** State and behaviour of a matrix; the view only draws it. */
export interface MatrixBehaviour {
  readonly host: RefObject<HTMLElement | null>;
  readonly geometry: Geometry;
  readonly hover: Hover;
  /** The one cell that Tab reaches. */
  readonly active: CellAt;
  readonly pinned: CellAt | null;
  readonly keysShown: boolean;
  readonly menu: MenuAt | null;
  /** The cell that the read-out speaks of: pointer, else focus, else selection. */
  readonly shown: CellAt | null;
  readonly onKeyDown: (event: KeyboardEvent) => void;
  readonly onClick: (event: MouseEvent) => void;
  readonly onContextMenu: (event: MouseEvent) => void;
  readonly onFocus: (focused: boolean) => void;
  readonly onPick: (id: string) => void;
  readonly closeMenu: () => void;
}

interface MenuAt {
  readonly at: CellAt;
  readonly x: number;
  readonly y: number;
}

/** The roving tab stop: follows the selection until a key moves it, and then takes the focus along. */
function useActive(model: MatrixModel, selected: string | null) {
  const fallback = (): CellAt => findCell(model, selected) ?? cellsBySize(model)[0] ?? { row: 0, col: 0 };
  const [active, setActive] = useState<CellAt>(fallback);
  const host = useRef<HTMLElement>(null);
  const byKey = useRef(false);
  useEffect(() => {
    if (!byKey.current) setActive(fallback());
  }, [selected, model.id]);
  useEffect(() => {
    if (!byKey.current) return;
    byKey.current = false;
    host.current?.querySelector<SVGElement>(`[data-cell="${active.row},${active.col}"]`)?.focus();
  }, [active]);
  const move = (to: CellAt): void => {
    byKey.current = true;
    setActive(to);
  };
  // A shorter prompt may have taken the cell away.
  return { host, active: cellAt(model, active) ? active : fallback(), move, setActive };
}

/** Brings the marked column into view when the figure scrolls inside itself. Never scrolls the page. */
function useColumnInView(
  host: RefObject<HTMLElement | null>,
  model: MatrixModel,
  geometry: Geometry,
  column: number | null,
): void {
  useEffect(() => {
    const box = host.current?.querySelector('.m-scroll');
    if (!box || column === null || column < 0 || column >= model.columns.length) return;
    const left = geometry.x[column];
    const right = left + model.columns[column].width;
    const room = box.clientWidth - model.labelWidth;
    if (left < box.scrollLeft) box.scrollLeft = left;
    else if (right > box.scrollLeft + room) box.scrollLeft = right - room + 4;
  }, [column, geometry]);
}

/** What a key did, carried out. */
function perform(
  action: MatrixAction,
  does: Readonly<Record<Exclude<MatrixAction['type'], 'move'>, () => void>>,
  move: (to: CellAt) => void,
): void {
  if (action.type === 'move') move(action.to);
  else does[action.type]();
}

function usePins(model: MatrixModel) {
  const [id, setId] = useState<string | null>(null);
  const toggle = (at: CellAt): void => {
    const next = cellAt(model, at)?.id ?? null;
    setId(next === id ? null : next);
  };
  return { at: findCell(model, id), toggle, clear: () => setId(null) };
}

function useMenu(
  props: MatrixFigureProps,
  hover: Hover,
  host: RefObject<HTMLElement | null>,
  select: (at: CellAt) => void,
) {
  const { model } = props;
  const [menu, setMenu] = useState<MenuAt | null>(null);
  const onContextMenu = (event: MouseEvent): void => {
    const at = hover.find(event);
    if (at === null) return;
    event.preventDefault();
    const origin = host.current?.getBoundingClientRect();
    setMenu({ at, x: event.clientX - (origin?.left ?? 0), y: event.clientY - (origin?.top ?? 0) });
  };
  const onPick = (id: string): void => {
    if (menu === null) return;
    if (id === 'open') select(menu.at);
    else props.onCopy(id === 'value' ? copyOfCell(model, menu.at) : copyOfRow(model, menu.at));
  };
  return { menu: menu && cellAt(model, menu.at) ? menu : null, onContextMenu, onPick, closeMenu: () => setMenu(null) };
}

/** Everything that a matrix does. */
export function useMatrix(props: MatrixFigureProps): MatrixBehaviour {
  const { model, marks } = props;
  const geometry = useMemo(() => geometryOf(model), [model]);
  const { host, active, move, setActive } = useActive(model, marks.selected);
  const [focused, setFocused] = useState(false);
  const [keysShown, setKeysShown] = useState(false);
  const pins = usePins(model);
  const hover = useHover(model, geometry);
  useColumnInView(host, model, geometry, marks.column ?? findCell(model, marks.selected)?.col ?? null);
  const select = (at: CellAt): void => {
    const cell = cellAt(model, at);
    if (cell) props.onSelect(cell);
  };
  const menu = useMenu(props, hover, host, select);
  const dismiss = (): void => {
    if (hover.boxed) hover.clear();
    else if (keysShown) setKeysShown(false);
    else if (pins.at !== null) pins.clear();
    else if (document.activeElement instanceof SVGElement) document.activeElement.blur();
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const ctrl = event.ctrlKey || event.metaKey;
    const action = matrixKey(model, active, { key: event.key, ctrl, alt: event.altKey });
    if (action === null) return;
    event.preventDefault();
    // VS Code listens on the window and would run its own shortcut as well.
    event.stopPropagation();
    const does = {
      open: () => select(active),
      pin: () => pins.toggle(active),
      table: props.onTable,
      copy: () => props.onCopy(copyOfCell(model, active)),
      keys: () => setKeysShown(!keysShown),
      dismiss,
    };
    perform(action, does, move);
  };
  const onClick = (event: MouseEvent): void => {
    const at = hover.find(event);
    if (at === null) return;
    setActive(at);
    if (event.ctrlKey || event.metaKey) pins.toggle(at);
    else select(at);
  };
  const shown = hover.at ?? (focused ? active : null) ?? findCell(model, marks.selected);
  return {
    host,
    geometry,
    hover,
    active,
    pinned: pins.at,
    keysShown,
    shown,
    onKeyDown,
    onClick,
    onFocus: setFocused,
    ...menu,
  };
}
