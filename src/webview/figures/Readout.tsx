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

interface ReadoutProps {
  readonly model: MatrixModel;
  readonly cell: MatrixCell | undefined;
  readonly pinned: MatrixCell | undefined;
}

function Reading({ model, cell }: { model: MatrixModel; cell: MatrixCell }): VNode {
  return (
    <>
      <span class="m-name">{cell.name}</span> <strong>{valueInWords(model, cell)}</strong>
      {cell.note ? <span class="m-note"> {cell.note}</span> : null}
    </>
  );
}

/** The line under a matrix: name, value, note of the cell under the pointer, the focus, or the selection. */
export function Readout({ model, cell, pinned }: ReadoutProps): VNode {
  const said = cell === undefined ? '' : `${cell.spoken}, ${valueInWords(model, cell)}`;
  const announced = useThrottled(said, 500);
  return (
    <div class="m-readout">
      <span>{cell ? <Reading model={model} cell={cell} /> : ' '}</span>
      {pinned && pinned.id !== cell?.id ? (
        <span class="m-pinned">
          <span class="codicon codicon-pinned" aria-hidden="true" /> <Reading model={model} cell={pinned} />
        </span>
      ) : null}
      <span class="m-hidden" aria-live="polite">
        {announced}
      </span>
    </div>
  );
}

/** The small box at a mark. */
export function HoverBox(props: { model: MatrixModel; cell: MatrixCell; x: number; y: number }): VNode {
  return (
    <div class="m-hover" aria-hidden="true" style={{ left: `${props.x}px`, top: `${props.y}px` }}>
      <Reading model={props.model} cell={props.cell} />
    </div>
  );
}
