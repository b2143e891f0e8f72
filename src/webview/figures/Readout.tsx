import type { VNode } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { valueInWords } from './MatrixDrawing.tsx';
import type { MatrixCell, MatrixModel } from './matrixModel.ts';

/** `value`, at most once per `ms`; the last one always arrives. For live regions. */
function useThrottled<T>(value: T, ms: number): T {
  const [shown, setShown] = useState(value);
  const last = useRef(0);
  useEffect(() => {
    const wait = Math.max(0, last.current + ms - Date.now());
    const timer = setTimeout(() => {
      last.current = Date.now();
      setShown(value);
    }, wait);
    return () => clearTimeout(timer);
  }, [value, ms]);
  return shown;
}

/** What a read-out says of one mark. */
export interface Read {
  readonly id: string;
  readonly name: string;
  /** For a screen reader. */
  readonly spoken: string;
  /** Value in words. */
  readonly said: string;
  readonly note?: string;
}

function Reading({ read }: { read: Read }): VNode {
  return (
    <>
      <span class="m-name">{read.name}</span> <strong>{read.said}</strong>
      {read.note ? <span class="m-note"> {read.note}</span> : null}
    </>
  );
}

/** The line under a figure: name, value, note of the mark under the pointer, the focus, or the selection. */
export function ReadoutLine({ read, pinned }: { read: Read | undefined; pinned?: Read | undefined }): VNode {
  const announced = useThrottled(read === undefined ? '' : `${read.spoken}, ${read.said}`, 500);
  return (
    <div class="m-readout">
      <span>{read ? <Reading read={read} /> : ' '}</span>
      {pinned && pinned.id !== read?.id ? (
        <span class="m-pinned">
          <span class="codicon codicon-pinned" aria-hidden="true" /> <Reading read={pinned} />
        </span>
      ) : null}
      <span class="m-hidden" aria-live="polite">
        {announced}
      </span>
    </div>
  );
}

function readOf(model: MatrixModel, cell: MatrixCell | undefined): Read | undefined {
  if (cell === undefined) return undefined;
  const { id, name, spoken, note } = cell;
  return { id, name, spoken, said: valueInWords(model, cell), note };
}

interface ReadoutProps {
  readonly model: MatrixModel;
  readonly cell: MatrixCell | undefined;
  readonly pinned: MatrixCell | undefined;
}

/** The line under a matrix. */
export function Readout({ model, cell, pinned }: ReadoutProps): VNode {
  return <ReadoutLine read={readOf(model, cell)} pinned={readOf(model, pinned)} />;
}

/** The small box at a mark. */
export function HoverReading({ read, x, y }: { read: Read; x: number; y: number }): VNode {
  return (
    <div class="m-hover" aria-hidden="true" style={{ left: `${x}px`, top: `${y}px` }}>
      <Reading read={read} />
    </div>
  );
}

/** The small box at a cell. */
export function HoverBox(props: { model: MatrixModel; cell: MatrixCell; x: number; y: number }): VNode | null {
  const read = readOf(props.model, props.cell);
  return read ? <HoverReading read={read} x={props.x} y={props.y} /> : null;
}
