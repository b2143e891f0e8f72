import { Fragment, type RefObject, type VNode } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { signed } from '../../shared/format.ts';
import { KeyList } from '../figures/KeyList.tsx';
import { type Read, ReadoutLine } from '../figures/Readout.tsx';
import type { CircuitDrawnProps } from './circuitProps.ts';
import { zoomBy } from './circuitView.ts';
import { BoxShape, BoxText, DiagramGround } from './DiagramDrawing.tsx';
import { type DiagramAction, diagramKey, diagramKeys } from './diagramKeys.ts';
import { boxHeight, boxWidth, type DiagramBox, type DiagramLayout } from './diagramTypes.ts';
import { spokenNode } from './nodeText.ts';
import { rolesOf } from './roleMarks.tsx';
import type { Drag } from './useDrag.ts';

export interface DiagramProps extends CircuitDrawnProps {
  readonly layout: DiagramLayout;
  readonly effects: ReadonlyMap<string, number>;
  readonly drag: Drag;
  readonly logitsLabel: string;
}

/** `letter mover at A2, reads from C3 and L5.H8, writes to the logits` */
function linksInWords(layout: DiagramLayout, box: DiagramBox): string {
  const names = (ends: readonly (readonly [id: string | null, otherwise: string])[]): string =>
    [...new Set(ends.map(([id, otherwise]) => layout.boxes.find((other) => other.id === id)?.label ?? otherwise))].join(
      ', ',
    );
  const sources = layout.wires.filter(({ to }) => to === box.id);
  const readers = layout.wires.filter(({ from }) => from === box.id);
  const parts = [`${box.role ?? 'no role'} at ${layout.columns[box.column]?.id ?? ''}`];
  if (sources.length > 0) parts.push(`reads from ${names(sources.map(({ from, column }) => [from, column]))}`);
  if (readers.length > 0) parts.push(`writes to ${names(readers.map(({ to }) => [to, 'the logits']))}`);
  return parts.join(', ');
}

function boxEffect({ effects }: DiagramProps, box: DiagramBox): number | null {
  const known = box.members.flatMap((node) => effects.get(node) ?? []);
  return known.length === 0 ? null : known.reduce((a, b) => a + b, 0);
}

function readBox(props: DiagramProps, box: DiagramBox): Read {
  const effect = boxEffect(props, box);
  const unit = props.state.evaluation?.metric.unit ?? 'logits';
  const spoken = box.members.length === 1 ? spokenNode(box.members[0]) : `${box.members.length} nodes, ${box.label}`;
  const name = box.members.length > 1 ? `${box.label}: ${box.members.join(', ')}` : box.members[0];
  const own = box.members.length === 1 && box.label !== box.members[0] ? `${box.members[0]} ${box.label}` : name;
  return {
    id: box.id,
    name: own,
    spoken,
    said: effect === null ? 'effect not known' : `${signed(effect)} ${unit}`.trim(),
    note: linksInWords(props.layout, box),
  };
}

/** Does what a key asks for. */
function perform(
  action: DiagramAction,
  box: DiagramBox,
  props: DiagramProps,
  page: { focus: (id: string) => void; pan: (x: number, y: number) => void; keys: () => void; dismiss: () => void },
): void {
  const { actions, view } = props;
  const [node] = box.members;
  const one = box.members.length === 1;
  switch (action.type) {
    case 'move':
      page.focus(action.to);
      break;
    case 'zoom':
      actions.setView({ zoom: zoomBy(view.zoom, action.step) });
      break;
    case 'pan':
      page.pan(action.x, action.y);
      break;
    case 'select':
      actions.setView(one ? { node } : { group: 'none', node });
      break;
    case 'add':
      actions.ask({ type: 'ask', what: 'add' });
      break;
    case 'remove':
      if (one) actions.edit({ kind: 'remove', node });
      break;
    case 'role':
    case 'label':
      if (one) actions.ask({ type: 'ask', what: action.type, node });
      break;
    case 'table':
      actions.table();
      break;
    case 'copy':
      actions.copy(`${box.members.join(' ')}\t${boxEffect(props, box) ?? ''}`);
      break;
    case 'keys':
      page.keys();
      break;
    case 'dismiss':
      page.dismiss();
      break;
  }
}

const itemRole = (box: DiagramBox, selected: boolean) =>
  ({ class: 'm-node', role: 'treeitem', 'aria-selected': selected, 'aria-level': 1, 'data-box': box.id }) as const;
const treeRole = { role: 'tree' } as const;
const groupRole = { role: 'group' } as const;

function Boxes({ props, focused }: { props: DiagramProps; focused: string | null }): VNode {
  const { layout, theme, circuit, node } = props;
  const roles = rolesOf(circuit).map(({ role }) => role);
  const layers = [...new Set(layout.boxes.map(({ layer }) => layer))].sort((a, b) => a - b);
  return (
    <>
      {layers.map((layer) => (
        <g key={layer} {...groupRole} aria-label={`layer ${layer}`}>
          {layout.boxes
            .filter((box) => box.layer === layer)
            .sort((a, b) => a.x - b.x)
            .map((box) => {
              const read = readBox(props, box);
              const selected = node !== null && box.members.includes(node);
              return (
                <Fragment key={box.id}>
                  <g
                    {...itemRole(box, selected)}
                    aria-label={`${read.spoken}, ${read.said}, ${read.note}`}
                    tabindex={0}
                  >
                    <BoxShape theme={theme} box={box} roles={roles} selected={selected} />
                    {focused === box.id ? (
                      <rect
                        class="m-node-ring"
                        x={box.x - 3}
                        y={box.y - 3}
                        width={boxWidth + 6}
                        height={boxHeight + 6}
                        fill="none"
                        stroke={theme.palette.focus}
                        stroke-width={2}
                      />
                    ) : null}
                  </g>
                  <BoxText theme={theme} box={box} selected={selected} />
                </Fragment>
              );
            })}
        </g>
      ))}
    </>
  );
}

/** Keeps the focus where it was when the drawing changes under it, as after an edit. */
function useFocusKept(host: RefObject<HTMLDivElement | null>, layout: DiagramLayout) {
  const [focused, setFocused] = useState<string | null>(null);
  const last = useRef<string | null>(null);
  const focus = (id: string): void => {
    last.current = id;
    host.current?.querySelector<SVGElement>(`[data-box="${CSS.escape(id)}"]`)?.focus();
  };
  useEffect(() => {
    const { current: was } = last;
    if (was === null || document.activeElement !== document.body) return;
    // What had the focus was taken out: its neighbour has it now.
    if (!layout.boxes.some(({ id }) => id === was) && layout.boxes[0]) focus(layout.boxes[0].id);
  }, [layout]);
  const onFocus = (id: string | null): void => {
    if (id !== null) last.current = id;
    setFocused(id);
  };
  return { focused, focus, onFocus };
}

/** Brings the selected box into view when the drawing scrolls in itself. Never scrolls the page. */
function useBoxInView(host: RefObject<HTMLDivElement | null>, box: DiagramBox | undefined, zoom: number): void {
  useEffect(() => {
    const { current } = host;
    if (!current || !box) return;
    const left = box.x * zoom;
    if (left < current.scrollLeft) current.scrollLeft = left - 24;
    else if (left + boxWidth * zoom > current.scrollLeft + current.clientWidth)
      current.scrollLeft = left + boxWidth * zoom - current.clientWidth + 24;
  }, [box?.id, zoom]);
}

/** The circuit as a drawing that can be walked, read, dragged in and zoomed. */
export function Diagram(props: DiagramProps): VNode {
  const { layout, view, circuit, node } = props;
  const host = useRef<HTMLDivElement>(null);
  const { focused, focus, onFocus } = useFocusKept(host, layout);
  const [pointed, setPointed] = useState<string | null>(null);
  const [keysShown, setKeysShown] = useState(false);
  const boxOf = (id: string | null): DiagramBox | undefined => layout.boxes.find((box) => box.id === id);
  const wire = layout.wires.find(({ id }) => `wire ${id}` === pointed);
  const selectedBox = layout.boxes.find(({ members }) => node !== null && members.includes(node));
  useBoxInView(host, selectedBox, view.zoom);
  const unit = props.state.evaluation?.metric.unit ?? '';
  const box = boxOf(pointed) ?? boxOf(focused) ?? selectedBox;
  const read: Read | undefined = wire
    ? {
        id: wire.id,
        name: wire.name,
        spoken: wire.name,
        said: `${wire.said} ${wire.effect === null ? '' : unit}`.trim(),
      }
    : box && readBox(props, box);
  const page = {
    focus,
    pan: (x: number, y: number) => host.current?.scrollBy(x, y),
    keys: () => setKeysShown(!keysShown),
    dismiss: () => (keysShown ? setKeysShown(false) : (document.activeElement as SVGElement | null)?.blur()),
  };
  const target = (event: Event): string | null => {
    const found = event.target instanceof Element ? event.target.closest('[data-box],[data-wire]') : null;
    return found?.getAttribute('data-box') ?? (found ? `wire ${found.getAttribute('data-wire')}` : null);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const at = boxOf(target(event));
    if (at === undefined) return;
    const press = { key: event.key, ctrl: event.ctrlKey || event.metaKey, alt: event.altKey, shift: event.shiftKey };
    const action = diagramKey(layout, at, press);
    if (action === null) return;
    event.preventDefault();
    event.stopPropagation();
    perform(action, at, props, page);
  };
  // A single node can be dragged out, or to another column.
  const onPointerDown = (event: PointerEvent): void => {
    const hit = boxOf(target(event));
    if (hit?.members.length === 1) props.drag.begin(hit.members[0], event);
  };
  const onClick = (event: MouseEvent): void => {
    const hit = boxOf(target(event));
    if (hit) perform({ type: 'select' }, hit, props, page);
  };
  return (
    <figure class="m-figure m-diagram" {...groupRole} aria-label={`Circuit ${circuit.name}`}>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: the nodes inside are what is focused; events bubble to here. */}
      <div
        ref={host}
        class="m-diagram-scroll"
        data-drop="diagram"
        onKeyDown={onKeyDown}
        onClick={onClick}
        onPointerDown={onPointerDown}
        onFocusIn={(event) => onFocus(boxOf(target(event))?.id ?? null)}
        onFocusOut={() => onFocus(null)}
        onMouseMove={(event) => setPointed(target(event))}
        onMouseLeave={() => setPointed(null)}
      >
        <svg
          width={layout.width * view.zoom}
          height={layout.height * view.zoom}
          viewBox={`0 0 ${layout.width} ${layout.height}`}
          {...treeRole}
          aria-label={`Nodes of ${circuit.name} by layer`}
        >
          <DiagramGround {...props} roles={rolesOf(circuit).map(({ role }) => role)} selected={selectedBox?.id ?? null}>
            <Boxes props={props} focused={focused} />
          </DiagramGround>
        </svg>
      </div>
      {keysShown ? <KeyList keys={diagramKeys} /> : null}
      <ReadoutLine read={read} />
    </figure>
  );
}
