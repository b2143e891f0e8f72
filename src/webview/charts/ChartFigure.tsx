import type { ComponentChildren, RefObject, VNode } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { KeyList } from '../figures/KeyList.tsx';
import { HoverReading, type Read, ReadoutLine } from '../figures/Readout.tsx';
import type { Theme } from '../figures/theme.ts';
import {
  type ChartDrawing,
  type ChartMark,
  chartKey,
  chartKeys,
  describeMarks,
  largestMark,
  nearestMark,
} from './chartMark.ts';

export interface ChartFigureProps {
  readonly theme: Theme;
  readonly title: string;
  readonly drawing: ChartDrawing;
  /** What the marks are, for the count in the description: `bars`. */
  readonly noun: string;
  readonly heading?: ComponentChildren;
  readonly caption?: ComponentChildren;
  readonly selected: string | null;
  readonly onSelect: (mark: ChartMark) => void;
  readonly onCopy: (text: string) => void;
  readonly onTable: () => void;
}

const boxDelay = 80;
/** Said by the read-out. */
const hidden = { 'aria-hidden': true } as const;

function readOf(mark: ChartMark | undefined): Read | undefined {
  return mark && { id: mark.id, name: mark.name, spoken: mark.spoken ?? mark.name, said: mark.said, note: mark.note };
}

/** Outline of 2 px around a mark. */
function Ring({
  theme,
  mark,
  kind,
}: {
  theme: Theme;
  mark: ChartMark | undefined;
  kind: 'selected' | 'focused';
}): VNode | null {
  if (mark === undefined) return null;
  const grow = kind === 'focused' ? 3 : 1.5;
  const box = mark.box ?? { x: mark.x - 4, y: mark.y - 4, width: 8, height: 8 };
  return (
    <rect
      class={kind === 'focused' ? 'm-ring' : undefined}
      x={box.x - grow}
      y={box.y - grow}
      width={box.width + 2 * grow}
      height={box.height + 2 * grow}
      fill="none"
      stroke={theme.palette.focus}
      stroke-width={2}
      pointer-events="none"
      {...hidden}
    />
  );
}

interface Pointed {
  readonly mark: ChartMark | null;
  readonly boxed: { readonly mark: ChartMark; readonly x: number; readonly y: number } | null;
  readonly onMove: (event: MouseEvent) => void;
  readonly clear: () => void;
}

/** The mark under the pointer at once, and after 80 ms where a box should stand. */
function usePointed(marks: readonly ChartMark[], svg: RefObject<SVGSVGElement | null>): Pointed {
  const [mark, setMark] = useState<ChartMark | null>(null);
  const [boxed, setBoxed] = useState<Pointed['boxed']>(null);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  const clear = (): void => {
    clearTimeout(timer.current);
    setMark(null);
    setBoxed(null);
  };
  const onMove = (event: MouseEvent): void => {
    const rect = svg.current?.getBoundingClientRect();
    const figure = svg.current?.closest('figure')?.getBoundingClientRect();
    if (!rect || !figure) return;
    const found = nearestMark(marks, event.clientX - rect.left, event.clientY - rect.top);
    if (found?.id === mark?.id) return;
    clear();
    setMark(found);
    if (found === null) return;
    const right = (found.box ? found.box.x + found.box.width : found.x) + 8;
    const below = found.y + 10;
    const place = { mark: found, x: rect.left - figure.left + right, y: rect.top - figure.top + below };
    timer.current = setTimeout(() => setBoxed(place), boxDelay);
  };
  return { mark, boxed, onMove, clear };
}

/** A chart that can be read: pointer, keyboard, read-out. One tab stop; see `chartKeys` for what keys do. */
export function ChartFigure(props: ChartFigureProps): VNode {
  const { theme, drawing, title } = props;
  const { marks } = drawing;
  const svg = useRef<SVGSVGElement>(null);
  const [activeId, setActive] = useState<string | null>(null);
  const [keysShown, setKeysShown] = useState(false);
  const pointed = usePointed(marks, svg);
  const selected = marks.find(({ id }) => id === props.selected);
  const active = marks.find(({ id }) => id === activeId) ?? selected ?? marks[0];
  // A mark that went away with a new drawing is not spoken of any more.
  const hovered = pointed.mark && marks.find(({ id }) => id === pointed.mark?.id);
  const shown = hovered ?? (activeId === null ? (selected ?? largestMark(marks)) : active);
  const select = (mark: ChartMark): void => {
    setActive(mark.id);
    props.onSelect(mark);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (active === undefined) return;
    const press = { key: event.key, ctrl: event.ctrlKey || event.metaKey, alt: event.altKey };
    const action = chartKey(marks, active, press);
    if (action === null) return;
    event.preventDefault();
    event.stopPropagation();
    if (action.type === 'move') setActive(action.to.id);
    else if (action.type === 'open') select(active);
    else if (action.type === 'copy') props.onCopy(`${active.name}\t${active.value ?? ''}`);
    else if (action.type === 'table') props.onTable();
    else if (action.type === 'keys') setKeysShown(!keysShown);
    else if (keysShown) setKeysShown(false);
    else if (pointed.boxed) pointed.clear();
    else svg.current?.blur();
  };
  return (
    <figure class="m-figure m-chart" aria-label={title}>
      {props.heading ? <div class="m-heading">{props.heading}</div> : null}
      <div class="m-scroll">
        <svg
          ref={svg}
          class="m-chart-svg"
          width={drawing.width}
          height={drawing.height}
          role="img"
          tabindex={0}
          aria-label={`${title}. ${describeMarks(marks, props.noun)}`}
          onMouseMove={pointed.onMove}
          onMouseLeave={pointed.clear}
          onClick={() => hovered && select(hovered)}
          onKeyDown={onKeyDown}
          onFocus={() => active && setActive(active.id)}
        >
          {drawing.content}
          <Ring theme={theme} mark={selected} kind="selected" />
          <Ring theme={theme} mark={active} kind="focused" />
        </svg>
      </div>
      {pointed.boxed && hovered ? (
        <HoverReading read={readOf(hovered) as Read} x={pointed.boxed.x} y={pointed.boxed.y} />
      ) : null}
      {keysShown ? <KeyList keys={chartKeys} /> : null}
      {props.caption ? <p class="m-caption">{props.caption}</p> : null}
      <ReadoutLine read={readOf(shown)} />
    </figure>
  );
}
