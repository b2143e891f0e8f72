import type { DiagramBox, DiagramLayout, Wire } from './diagramTypes.ts';

/** Shown by `?`. */
export const diagramKeys: readonly (readonly [keys: string, what: string])[] = [
  ['Tab', 'next node, by layer then position'],
  ['↑', 'what this node writes to'],
  ['↓', 'what this node reads from'],
  ['← →', 'nodes beside it'],
  ['Enter', 'select'],
  ['Insert', 'add a node'],
  ['Delete', 'take the node out'],
  ['r', 'set its role'],
  ['F2', 'name it'],
  ['Ctrl+Z', 'undo'],
  ['+ − 0', 'zoom'],
  ['Shift+arrows', 'pan'],
  ['t', 'table'],
  ['c', 'copy'],
  ['?', 'this list'],
];

export type DiagramAction =
  | { readonly type: 'move'; readonly to: string }
  | { readonly type: 'zoom'; readonly step: 1 | -1 | 0 }
  | { readonly type: 'pan'; readonly x: number; readonly y: number }
  | { readonly type: 'select' | 'add' | 'remove' | 'role' | 'label' | 'table' | 'copy' | 'keys' | 'dismiss' };

const plain: Readonly<Record<string, DiagramAction>> = {
  Enter: { type: 'select' },
  Insert: { type: 'add' },
  Delete: { type: 'remove' },
  Backspace: { type: 'remove' },
  r: { type: 'role' },
  F2: { type: 'label' },
  t: { type: 'table' },
  c: { type: 'copy' },
  '?': { type: 'keys' },
  Escape: { type: 'dismiss' },
  '+': { type: 'zoom', step: 1 },
  '=': { type: 'zoom', step: 1 },
  '-': { type: 'zoom', step: -1 },
  '−': { type: 'zoom', step: -1 },
  '0': { type: 'zoom', step: 0 },
};

const panStep = 60;
const arrows: Readonly<Record<string, readonly [x: number, y: number]>> = {
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
};

/** Strongest line first. */
function strongest(wires: readonly Wire[]): Wire | undefined {
  return [...wires].sort((a, b) => Math.abs(b.effect ?? 0) - Math.abs(a.effect ?? 0))[0];
}

/** The nearest box in a direction, where no edge leads on. */
function nearest(boxes: readonly DiagramBox[], at: DiagramBox, [dx, dy]: readonly [number, number]): DiagramBox {
  let best = at;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const box of boxes) {
    const along = dx * (box.x - at.x) + dy * (box.y - at.y);
    const across = Math.abs(dx * (box.y - at.y) + dy * (box.x - at.x));
    if (along <= 0) continue;
    const distance = along + 2 * across;
    if (distance < bestDistance) {
      best = box;
      bestDistance = distance;
    }
  }
  return best;
}

function follow({ boxes, wires }: DiagramLayout, at: DiagramBox, key: string): string {
  const up = key === 'ArrowUp' ? strongest(wires.filter(({ from, to }) => from === at.id && to !== null))?.to : null;
  const down =
    key === 'ArrowDown' ? strongest(wires.filter(({ from, to }) => to === at.id && from !== null))?.from : null;
  return up ?? down ?? nearest(boxes, at, arrows[key]).id;
}

/** The keyboard of the diagram. Null: the key is not ours (Tab, Ctrl+Z) and goes on to the page. */
export function diagramKey(
  layout: DiagramLayout,
  at: DiagramBox,
  press: { readonly key: string; readonly ctrl: boolean; readonly alt: boolean; readonly shift: boolean },
): DiagramAction | null {
  const { key } = press;
  if (press.ctrl || press.alt) return null;
  const arrow = arrows[key];
  if (arrow === undefined) return plain[key] ?? null;
  if (press.shift) return { type: 'pan', x: arrow[0] * panStep, y: arrow[1] * panStep };
  return { type: 'move', to: follow(layout, at, key) };
}
