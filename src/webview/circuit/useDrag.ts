import { useEffect, useRef, useState } from 'preact/hooks';

/** A node that is dragged, and where the pointer is, px of the window. */
export interface Dragged {
  readonly node: string;
  readonly x: number;
  readonly y: number;
}

/** Where a drag ends. */
export interface DropPlace {
  readonly x: number;
  readonly y: number;
  /** What lies under the pointer. */
  readonly over: Element | null;
}

/** Px that the pointer must move before a press becomes a drag: a click selects. */
const slack = 5;

export interface Drag {
  readonly dragged: Dragged | null;
  /** For `onPointerDown` of whatever can be dragged. */
  readonly begin: (node: string, event: PointerEvent) => void;
}

/** Follows the pointer from a press to its release; Escape gives up. */
export function useDrag(onDrop: (node: string, place: DropPlace) => void): Drag {
  const [dragged, setDragged] = useState<Dragged | null>(null);
  const drop = useRef(onDrop);
  drop.current = onDrop;
  const stop = useRef<() => void>(() => undefined);
  useEffect(() => () => stop.current(), []);
  const begin = (node: string, down: PointerEvent): void => {
    if (down.button !== 0) return;
    let moved = false;
    const move = (event: PointerEvent): void => {
      moved ||= Math.hypot(event.clientX - down.clientX, event.clientY - down.clientY) > slack;
      if (moved) setDragged({ node, x: event.clientX, y: event.clientY });
    };
    const end = (): void => {
      document.removeEventListener('pointermove', move);
      document.removeEventListener('pointerup', up);
      document.removeEventListener('keydown', key, true);
      setDragged(null);
    };
    const up = (event: PointerEvent): void => {
      end();
      if (!moved) return;
      // The click that follows a drag selects nothing.
      const swallow = (click: Event): void => click.stopPropagation();
      document.addEventListener('click', swallow, { capture: true, once: true });
      setTimeout(() => document.removeEventListener('click', swallow, true), 0);
      const over = document.elementFromPoint(event.clientX, event.clientY);
      drop.current(node, { x: event.clientX, y: event.clientY, over });
    };
    const key = (event: KeyboardEvent): void => {
      if (event.key !== 'Escape') return;
      event.stopPropagation();
      end();
    };
    stop.current = end;
    document.addEventListener('pointermove', move);
    document.addEventListener('pointerup', up);
    document.addEventListener('keydown', key, true);
  };
  return { dragged, begin };
}
