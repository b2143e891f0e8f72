import { visibleToken } from '../../shared/format.ts';
import type { HeadDetail, LensTable, TraceDocument } from '../../shared/traceDocument.ts';
import type { ComponentRef } from '../../shared/tracePanelProtocol.ts';
import { componentName, componentsBySize, effectOf } from '../../shared/traceSelection.ts';
import type { TableModel, TableValue } from '../figures/DataTable.tsx';
import { partsBelow } from './traceModels.ts';

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

/** Every token with its attribution. Positions are 1-based. */
export function tokensTable(document: TraceDocument): TableModel {
  const rows = document.tokens.map(({ id, text }, i): TableValue[] => [
    i + 1,
    visibleToken(text),
    id,
    document.attributions[i] ?? null,
    document.attributions[i] ?? null,
  ]);
  const total = sum(document.attributions);
  return {
    id: 'tokens',
    caption: document.method === 'direct' ? 'Tokens, direct logit attribution' : 'Tokens, occlusion',
    columns: [
      { id: 'position', label: 'position', kind: 'text' },
      { id: 'token', label: 'token', kind: 'token' },
      { id: 'token_id', label: 'id', kind: 'text', drop: 1 },
      { id: 'logits', label: 'logits', kind: 'number' },
      { id: 'bar', label: '', kind: 'bar', drop: 1 },
    ],
    rows,
    // Occlusion effects do not add up to anything; a sum would mislead.
    ...(document.method === 'direct' ? { sum: ['sum', '', null, total, null] } : {}),
  };
}

/** Every head, MLP, the embedding and biases; adds up to the observable. */
export function componentsTable(document: TraceDocument): TableModel {
  const total = document.observable.value;
  const rows = componentsBySize(document).map(({ component, effect }): TableValue[] => [
    componentName(component),
    component.layer,
    component.kind === 'mlp' ? 'MLP' : 'head',
    effect,
    effect,
  ]);
  for (const { name, value } of partsBelow(document)) rows.push([name, null, name, value, value]);
  return {
    id: 'components',
    caption: 'Logits added, by component',
    columns: [
      { id: 'component', label: 'component', kind: 'text' },
      { id: 'layer', label: 'layer', kind: 'text', drop: 3 },
      { id: 'kind', label: 'kind', kind: 'text', drop: 3 },
      { id: 'logits', label: 'logits', kind: 'number' },
      { id: 'bar', label: '', kind: 'bar', drop: 1 },
    ],
    rows,
    sum: ['sum', null, null, total, null],
  };
}

/** The logit lens, one line for each layer and position, last layer first. */
export function lensTable(document: TraceDocument, lens: LensTable): TableModel {
  const order = lens.rows.map((_, r) => r).reverse();
  const rows = order.flatMap((r) =>
    lens.positions.map((position, c): TableValue[] => [
      lens.rows[r],
      position + 1,
      visibleToken(document.tokens[position]?.text ?? ''),
      lens.values[r]?.[c] ?? null,
      visibleToken(lens.top[r]?.[c]?.text ?? ''),
      lens.top[r]?.[c]?.p ?? null,
    ]),
  );
  return {
    id: 'lens',
    caption: `Logit lens, ${document.observable.label}`,
    columns: [
      { id: 'layer', label: 'after', kind: 'text' },
      { id: 'position', label: 'pos', kind: 'text' },
      { id: 'token', label: 'token', kind: 'token', drop: 2 },
      { id: 'logits', label: 'logits', kind: 'number' },
      { id: 'top_token', label: 'top token', kind: 'token' },
      { id: 'top_p', label: 'p', kind: 'share', drop: 1 },
    ],
    rows,
  };
}

/** More tokens than this are cut … */
const manySources = 24;
/** … to the largest of these, and the rest in one line. */
const shownSources = 15;

/** One row of `[layer, head, source]`. */
function rowOf(data: Float32Array, dims: readonly number[], layer: number, head: number): number[] {
  const [, heads, sources] = dims;
  const from = (layer * heads + head) * sources;
  return [...data.subarray(from, from + sources)];
}

/**
 * What a head reads from each token and what that adds. Long prompts: the largest 15 and the rest as one line, so that
 * the column adds up. `all` keeps every token, for export.
 */
export function sourcesTable(document: TraceDocument, component: ComponentRef, all = false): TableModel {
  const { attention, bySource } = document.direct;
  const head = component.head ?? 0;
  const weights = rowOf(attention.data, attention.dims, component.layer, head);
  const logits = rowOf(bySource.data, bySource.dims, component.layer, head);
  const everyRow = document.tokens.map(({ text }, i): TableValue[] => [
    visibleToken(text),
    i + 1,
    weights[i] ?? null,
    logits[i] ?? null,
    logits[i] ?? null,
  ]);
  const cut = !all && everyRow.length > manySources;
  const order = everyRow.map((_, i) => i).sort((a, b) => Math.abs(logits[b] ?? 0) - Math.abs(logits[a] ?? 0));
  const keep = new Set(cut ? order.slice(0, shownSources) : order);
  const rest = order.filter((i) => !keep.has(i));
  const rows = everyRow.filter((_, i) => keep.has(i));
  if (cut) {
    const of = (values: readonly number[]): number => sum(rest.map((i) => values[i] ?? 0));
    rows.push([`${rest.length} others`, null, of(weights), of(logits), of(logits)]);
  }
  return {
    id: 'sources',
    caption: `${componentName(component)} by source token`,
    columns: [
      { id: 'source_token', label: 'source token', kind: 'token' },
      { id: 'position', label: 'position', kind: 'text', drop: 3 },
      { id: 'attention', label: 'attn', kind: 'share' },
      { id: 'logits', label: 'logits', kind: 'number' },
      { id: 'bar', label: '', kind: 'bar', drop: 1 },
    ],
    rows,
    sum: ['sum', null, null, effectOf(document, component), null],
  };
}

/** Vocabulary entries that the head's OV circuit pushes up and down most, side by side. */
export function ovTable({ ov }: HeadDetail, source: string): TableModel {
  const n = Math.max(ov.up.length, ov.down.length);
  const text = (entry: { text: string } | undefined): string => (entry ? visibleToken(entry.text) : '');
  return {
    id: 'ov',
    caption: `OV circuit at ${source}, unembedded`,
    columns: [
      { id: 'up_token', label: 'pushes up', kind: 'token' },
      { id: 'up_logits', label: 'logits', kind: 'number' },
      { id: 'down_token', label: 'pushes down', kind: 'token' },
      { id: 'down_logits', label: 'logits', kind: 'number' },
    ],
    rows: Array.from({ length: n }, (_, i) => [
      text(ov.up[i]),
      ov.up[i]?.logit ?? null,
      text(ov.down[i]),
      ov.down[i]?.logit ?? null,
    ]),
  };
}
