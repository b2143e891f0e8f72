import { signedFixed, visibleToken } from '../../shared/format.ts';
import type { TraceDocument } from '../../shared/traceDocument.ts';
import { componentName } from '../../shared/traceSelection.ts';

/** The finding: `␣she − ␣he = +1.60 logits`. */
export function titleOf({ observable }: TraceDocument): string {
  return `${observable.label} = ${signedFixed(observable.value)} logits`;
}

/** `␣that`, the token at which the observable is read. */
export function readToken(document: TraceDocument): string {
  return visibleToken(document.tokens[document.position]?.text ?? '');
}

/** What the numbers under the tokens are. */
export function stripWords({ method, propagation }: TraceDocument): string {
  switch (method) {
    case 'direct':
      return 'added by each token';
    case 'occlusion':
      return 'lost without each token';
    case 'gradient-times-input':
    case 'integrated-gradients':
      return 'attributed to each token';
    case 'observable-propagation':
      return propagation?.view === 'contribution' ? 'added by each token along the path' : 'score of each token';
  }
}

/** What the numbers are, and where the observable is read. */
function metricOf(document: TraceDocument): string {
  const { method, propagation } = document;
  const at = readToken(document);
  switch (method) {
    case 'direct':
      return `Direct logit attribution at ${at}, attention and norm scale frozen`;
    case 'occlusion':
      return `Occlusion at ${at}: the fall of the observable when a token is replaced`;
    case 'gradient-times-input':
      return `Gradient times input at ${at}`;
    case 'integrated-gradients':
      return `Integrated gradients at ${at}`;
    case 'observable-propagation': {
      const along = propagation === undefined ? '' : ` along ${propagation.path}, norms ${propagation.norm}`;
      return `Observable propagation at ${at}${along}, attention held fixed`;
    }
  }
}

/** Metric and position · n · ablation · model and patches · #hash. */
export function subtitleOf(document: TraceDocument): string {
  const { provenance } = document;
  const ablation = provenance.ablation === 'none' ? 'no ablation' : provenance.ablation;
  const patches = provenance.patches.length === 0 ? 'no patches' : `patches ${provenance.patches.join(', ')}`;
  return `${metricOf(document)} · n = 1 prompt · ${ablation} · ${provenance.modelLabel}, ${patches} · #${provenance.hash}`;
}

/** What a paper or a note needs to say where a number comes from. */
export function citationOf(document: TraceDocument): string {
  const { provenance, prompt } = document;
  return [
    `${titleOf(document)}. ${subtitleOf(document)}.`,
    `Prompt: ${JSON.stringify(prompt)}; ${provenance.bos === 'none added' ? 'no BOS added' : 'BOS added by the tokenizer'}.`,
    `Model ${provenance.model}, sha256 ${provenance.modelHash}, ${provenance.dtype}, weights as stored.`,
    `Mechanist ${provenance.mechanistVersion}.`,
  ].join('\n');
}

/** Name for exported files: `trace-3f9a1c7`. */
export function fileStem(document: TraceDocument): string {
  return `trace-${document.provenance.hash}`;
}

/** The four most likely next tokens. */
export function nextTokens(document: TraceDocument, n = 4): { text: string; p: number }[] {
  return document.next.slice(0, n).map(({ text, logprob }) => ({ text, p: Math.exp(logprob) }));
}

/** Where numbers first stop being numbers, in order of computation; null when all are finite. */
export function firstBroken({ direct }: TraceDocument): string | null {
  if (!Number.isFinite(direct.embedding)) return 'hook_embed';
  for (let layer = 0; layer < direct.heads.length; layer++) {
    const head = direct.heads[layer].findIndex(
      (value) => Number.isNaN(value) || Math.abs(value) === Number.POSITIVE_INFINITY,
    );
    if (head >= 0) return `blocks.${layer}.attn.hook_z (${componentName({ layer, kind: 'head', head })})`;
    const mlp = direct.mlps[layer];
    if (mlp !== undefined && !Number.isFinite(mlp)) return `blocks.${layer}.hook_mlp_out`;
  }
  return null;
}

/** True when every component adds (to rounding) nothing. */
export function allZero({ direct }: TraceDocument): boolean {
  const values = [...direct.heads.flat(), ...direct.mlps];
  return values.length > 0 && values.every((value) => Math.abs(value) < 1e-9);
}
