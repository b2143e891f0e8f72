import type { VNode } from 'preact';
import { Hatch } from '../figures/Mark.tsx';
import type { Theme } from '../figures/theme.ts';

/** Figures before anything is known of the model: titles and hatched areas. */
export function LoadingFigures({ theme, width }: { theme: Theme; width: number }): VNode {
  const inner = Math.max(240, width - 36);
  const beside = width >= 800;
  const left = beside ? Math.max(376, Math.floor(inner * 0.38)) : inner;
  const box = (title: string, w: number, id: string): VNode => (
    <figure class="m-figure" aria-label={`${title}, not run yet`}>
      <div class="m-heading">
        <h2>{title}</h2>
      </div>
      <svg width={w} height={220} aria-hidden="true">
        <Hatch theme={theme} id={id} />
        <rect x={0.5} y={0.5} width={w - 1} height={219} fill={`url(#${id})`} stroke={theme.palette.tableRule} />
      </svg>
    </figure>
  );
  return (
    <div class={beside ? 'm-row' : 'm-column'}>
      {box('Logits added, by component', left, 'loading-components')}
      {box('Logit lens', beside ? inner - left - 30 : inner, 'loading-lens')}
    </div>
  );
}
