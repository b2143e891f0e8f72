import type { VNode } from 'preact';

/** What keys do, over a figure. */
export function KeyList({ keys }: { keys: readonly (readonly [keys: string, what: string])[] }): VNode {
  return (
    <dl class="m-keys">
      {keys.map(([key, what]) => (
        <div key={key}>
          <dt>{key}</dt>
          <dd>{what}</dd>
        </div>
      ))}
    </dl>
  );
}
