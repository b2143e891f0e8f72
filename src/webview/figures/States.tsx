import type { ComponentChildren, VNode } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { percent } from '../../shared/format.ts';
import type { Progress } from '../../shared/progress.ts';
import { Button, LinkButton } from './Button.tsx';

/** One line with an icon: a warning, or what is stale. */
export function Notice(props: { icon: 'warning' | 'info' | 'history' | 'error'; children: ComponentChildren }): VNode {
  return (
    <p class={`m-notice m-notice-${props.icon}`}>
      <span class={`codicon codicon-${props.icon}`} aria-hidden="true" />
      <span>{props.children}</span>
    </p>
  );
}

/** Nothing to show yet: one sentence, one button. */
export function EmptyState(props: { text: string; action: string; onAction: () => void }): VNode {
  return (
    <div class="m-empty">
      <p>{props.text}</p>
      <Button label={props.action} primary onClick={props.onAction} />
    </div>
  );
}

/** In place of what failed: what happened and what to do, and the way to the log. */
export function ErrorState(props: { what: string; message: string; onShowLog: () => void }): VNode {
  return (
    <div class="m-error" role="alert">
      <p>
        <span class="codicon codicon-error" aria-hidden="true" /> <strong>{props.what}</strong>
      </p>
      <p>{props.message}</p>
      <Button label="Show Log" onClick={props.onShowLog} />
    </div>
  );
}

/** True once `ms` have passed: a short wait shows nothing. */
function useDelay(ms: number): boolean {
  const [passed, setPassed] = useState(ms === 0);
  useEffect(() => {
    const timer = setTimeout(() => setPassed(true), ms);
    return () => clearTimeout(timer);
  }, [ms]);
  return passed;
}

interface ProgressProps {
  readonly progress: Progress | null;
  readonly delay?: number;
  /** What is being done, for a screen reader. */
  readonly label?: string;
  /** In the place of the progress's own label and per cent. */
  readonly words?: string;
  /** A button in the place of the link *Cancel*: what is done is kept. */
  readonly cancelLabel?: string;
  readonly onCancel: () => void;
}

/** A 2 px bar with words and a way to cancel; appears after 300 ms. Screen readers hear every 10 %. */
export function ProgressLine(props: ProgressProps): VNode | null {
  const { progress, delay = 300, label = 'Tracing', words, cancelLabel, onCancel } = props;
  const visible = useDelay(delay);
  if (!visible) return null;
  const done = progress && progress.total > 0 ? progress.done / progress.total : null;
  return (
    <div class="m-progress">
      <div
        class={done === null ? 'm-bar m-bar-unknown' : 'm-bar'}
        role="progressbar"
        aria-label={label}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={done === null ? undefined : Math.round(done * 100)}
      >
        <div style={{ width: done === null ? '100%' : `${(done * 100).toFixed(1)}%` }} />
      </div>
      <div class="m-progress-words">
        <span>
          {words ??
            (progress ? `${progress.label}${done === null ? '' : ` · ${percent(done)}`}` : 'Waiting for the engine')}
        </span>
        {cancelLabel === undefined ? (
          <LinkButton label="Cancel" onClick={onCancel} />
        ) : (
          <Button label={cancelLabel} onClick={onCancel} />
        )}
      </div>
      <span class="m-hidden" aria-live="polite">
        {done === null ? '' : `${Math.floor(done * 10) * 10} percent`}
      </span>
    </div>
  );
}
