import { signedFixed } from '../../shared/format.ts';
import type { TraceDocument } from '../../shared/traceDocument.ts';

/** What one component brings from one token to the observable. */
export interface Carrier {
  /** `L21.H4`, `MLP 26`, `embedding` */
  readonly name: string;
  /** Which head it is; null for anything else. */
  readonly head?: { readonly layer: number; readonly head: number } | null;
  /** Logits. */
  readonly value: number;
  /** Attention from the observable's position to the token; null for anything but a head. */
  readonly attention: number | null;
}

/** The largest carriers, as they are printed, and the rest, so that the printed column adds up exactly. */
export interface CarrierTable {
  readonly rows: readonly (Carrier & { readonly text: string })[];
  readonly others: { readonly count: number; readonly value: number; readonly text: string };
  readonly sum: { readonly value: number; readonly text: string };
}

/** Everything that the direct split counts for a token: heads that read it; at the observable's own position also the rest. */
export function carriersOf(document: TraceDocument, token: number): Carrier[] {
  const { bySource, attention, mlps, embedding, positionEmbedding, bias } = document.direct;
  const [layers = 0, heads = 0, sources = 0] = bySource.dims;
  const carriers: Carrier[] = [];
  for (let layer = 0; layer < layers; layer++) {
    for (let head = 0; head < heads && token < sources; head++) {
      const at = (layer * heads + head) * sources + token;
      const value = bySource.data[at] ?? Number.NaN;
      carriers.push({
        name: `L${layer}.H${head}`,
        head: { layer, head },
        value,
        attention: attention.data[at] ?? null,
      });
    }
  }
  if (token !== document.position) return carriers;
  mlps.forEach((value, layer) => {
    carriers.push({ name: `MLP ${layer}`, value, attention: null });
  });
  carriers.push({ name: 'embedding', value: embedding, attention: null });
  if (positionEmbedding !== 0) carriers.push({ name: 'position embedding', value: positionEmbedding, attention: null });
  if (bias !== 0) carriers.push({ name: 'biases', value: bias, attention: null });
  return carriers;
}

/** Decimals that show three digits of the largest number; the whole column has them, so that it adds up. */
function decimalsFor(largest: number): number {
  if (!(largest > 0) || !Number.isFinite(largest)) return 3;
  return Math.min(9, Math.max(0, 2 - Math.floor(Math.log10(largest))));
}

/**
 * The `top` largest carriers of a token, N others and the sum, which is the token's direct attribution.
 * Printed numbers are rounded so that rows + others = sum to the last digit shown.
 */
export function carrierTable(document: TraceDocument, token: number, top = 6): CarrierTable {
  const sizeOf = (c: Carrier) => (Number.isFinite(c.value) ? Math.abs(c.value) : Number.POSITIVE_INFINITY);
  const carriers = carriersOf(document, token).sort((a, b) => sizeOf(b) - sizeOf(a));
  const total = carriers.reduce((sum, c) => sum + c.value, 0);
  const shown = carriers.slice(0, top);
  const decimals = decimalsFor(Math.max(Math.abs(total), ...shown.map((c) => Math.abs(c.value))));
  const unit = 10 ** decimals;
  const printed = (value: number) => Math.round(value * unit);
  const restUnits = printed(total) - shown.reduce((sum, c) => sum + printed(c.value), 0);
  const text = (value: number) => signedFixed(value, decimals);
  return {
    rows: shown.map((c) => ({ ...c, text: text(printed(c.value) / unit) })),
    others: { count: carriers.length - shown.length, value: restUnits / unit, text: text(restUnits / unit) },
    sum: { value: total, text: text(printed(total) / unit) },
  };
}
