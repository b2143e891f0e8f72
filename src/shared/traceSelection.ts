import type { TraceDocument } from './traceDocument.ts';
import type { ComponentRef } from './tracePanelProtocol.ts';

/** A head or MLP with what it adds to the observable, in logits. */
export interface ComponentEffect {
  readonly component: ComponentRef;
  readonly effect: number;
}

const size = (value: number): number => (Number.isFinite(value) ? Math.abs(value) : -1);

/** `L21.H4`, `MLP 26` */
export function componentName({ layer, kind, head }: ComponentRef): string {
  return kind === 'mlp' ? `MLP ${layer}` : `L${layer}.H${head ?? 0}`;
}

export function sameComponent(a: ComponentRef | null, b: ComponentRef | null): boolean {
  return a === b || (a?.layer === b?.layer && a?.kind === b?.kind && a?.head === b?.head);
}

/** What a component adds to the observable, in logits; NaN where the document has no such component. */
export function effectOf(document: TraceDocument, { layer, kind, head }: ComponentRef): number {
  const { heads, mlps } = document.direct;
  return (kind === 'mlp' ? mlps[layer] : heads[layer]?.[head ?? 0]) ?? Number.NaN;
}

/** Every head and MLP, largest |effect| first, NaN last; ties in order of layer and head. */
export function componentsBySize(document: TraceDocument): ComponentEffect[] {
  const { heads, mlps } = document.direct;
  const all: ComponentEffect[] = heads.flatMap((row, layer) =>
    row.map((effect, head): ComponentEffect => ({ component: { layer, kind: 'head', head }, effect })),
  );
  mlps.forEach((effect, layer) => {
    all.push({ component: { layer, kind: 'mlp' }, effect });
  });
  return all.sort((a, b) => size(b.effect) - size(a.effect));
}

/** The head with the largest |effect|: what a trace shows first. Null for a model without heads. */
export function defaultComponent(document: TraceDocument): ComponentRef | null {
  return componentsBySize(document).find(({ component }) => component.kind === 'head')?.component ?? null;
}

/** The token with the largest |attribution|: what a trace shows first. Null for an empty prompt. */
export function defaultToken(document: TraceDocument): number | null {
  let best: number | null = null;
  document.attributions.forEach((value, pos) => {
    if (best === null || size(value) > size(document.attributions[best])) best = pos;
  });
  return best;
}
