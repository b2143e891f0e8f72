import { percent, share, signed, visibleToken } from '../shared/format.ts';
import type { PropagationDetail, TraceDocument } from '../shared/traceDocument.ts';
import { table } from './table.ts';

/** The object that `mechanist trace --json` prints. Positions are 0-based, logits natural. */
export function traceJson(document: TraceDocument) {
  return {
    model: document.provenance.model,
    tokens: document.tokens.map(({ id, text }) => ({ id, text })),
    top: document.next.map(({ id, text, logit, logprob }) => ({ id, text, logit, logprob })),
    observable: {
      value: document.observable.value,
      label: document.observable.label,
      terms: document.observable.terms,
      isDefault: document.observable.isDefault,
    },
    position: document.position,
    method: document.method,
    attributions: document.attributions.map((value, pos) => ({ pos, value })),
    ...(document.propagation !== undefined && { propagation: document.propagation }),
    complete: document.complete,
    warnings: document.warnings,
    provenance: document.provenance,
  };
}

/** What observable propagation is of, in one line. */
function propagationText({ path, pathIsDefault, norm, view, contribution, share: ofAll }: PropagationDetail): string {
  const chosen = pathIsDefault ? ' (largest direct contribution)' : '';
  const whole = ofAll === null ? '' : `, ${percent(ofAll)} of the observable`;
  return `${view} along ${path}${chosen}, norms ${norm} · the path adds ${signed(contribution)}${whole}`;
}

/** The same as a table for people. Positions are 1-based in words. */
export function traceText(document: TraceDocument): string {
  const { provenance, observable, tokens, attributions } = document;
  const place = `position ${document.position + 1} of ${tokens.length}`;
  const sum = attributions.reduce((a, b) => a + b, 0);
  const rows = tokens.map(({ text, id }, pos) => [
    `${pos + 1}`,
    visibleToken(text),
    `${id}`,
    signed(attributions[pos] ?? Number.NaN),
  ]);
  // Occlusion effects overlap, so they have no meaningful sum.
  if (document.method === 'direct' || document.propagation?.view === 'contribution')
    rows.push(['', 'sum', '', signed(sum)]);
  const next = document.next.map(({ text, id, logit, logprob }) => [
    visibleToken(text),
    `${id}`,
    share(Math.exp(logprob)),
    signed(logit),
    signed(logprob),
  ]);
  return [
    `${observable.label} = ${signed(observable.value)} logits${observable.isDefault ? ' (first minus second most likely)' : ''}`,
    ...(document.propagation === undefined ? [] : [propagationText(document.propagation)]),
    `${provenance.modelLabel} · ${document.method} attribution, ${place} · ablation: ${provenance.ablation} · BOS ${provenance.bos} · #${provenance.hash}`,
    '',
    table(
      [
        { title: 'pos', align: 'right' },
        { title: 'token', align: 'left' },
        { title: 'id', align: 'right' },
        { title: 'logits', align: 'right' },
      ],
      rows,
    ),
    '',
    table(
      [
        { title: 'next', align: 'left' },
        { title: 'id', align: 'right' },
        { title: 'p', align: 'right' },
        { title: 'logit', align: 'right' },
        { title: 'ln p', align: 'right' },
      ],
      next,
    ),
    '',
  ].join('\n');
}
