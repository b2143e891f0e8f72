import { turnsFar } from '../../shared/features.ts';
import type { PropagationDetail } from '../../shared/traceDocument.ts';

const normNames: Readonly<Record<PropagationDetail['norm'], string>> = {
  frozen: 'norm scales frozen',
  scaled: 'norms scaled',
  jacobian: 'norms by their gradient',
  secant: 'norms by their secant',
  ignore: 'norms ignored',
};

/** How norms are gone through, in words. */
export function normText({ norm }: Pick<PropagationDetail, 'norm'>): string {
  return normNames[norm];
}

/** `L21.H4@7 <= … <= MLP 12@3`: of a long path its ends. */
export function shortPath(path: string): string {
  const nodes = path.split(' <= ');
  return nodes.length <= 2 ? path : `${nodes[0]} <= … <= ${nodes.at(-1)}`;
}

/** `score at L21.H4@7, norm scales frozen`: node, norm mode and view, for a row over a prompt. */
export function propagationText(detail: PropagationDetail): string {
  return `${detail.view} at ${shortPath(detail.path)}, ${normNames[detail.norm]}`;
}

/** `score L21.H4@7`: for the legend. */
export function shortPropagationText({ view, path }: PropagationDetail): string {
  return `${view} ${shortPath(path)}`;
}

/** What a number of the tint says, in a sentence. */
export function propagationSentence(
  { view, path, norm, pathIsDefault }: PropagationDetail,
  observable: string,
): string {
  const which = pathIsDefault ? `${path} (the head that adds most directly)` : path;
  const what =
    view === 'score'
      ? `What ${which} reads from each token along ${observable}, at full attention`
      : `What each token adds to ${observable} through ${which}, with the attention there is`;
  return `${what}; ${normNames[norm]}.`;
}

/** The norm at which the linear picture holds worst, where it is bad enough to be told; null otherwise. */
export function worstNorm({ norms, norm }: PropagationDetail): PropagationDetail['norms'][number] | null {
  if (norm === 'ignore') return null;
  const [worst] = [...norms].sort((a, b) => Math.abs(b.rho) - Math.abs(a.rho));
  return worst !== undefined && turnsFar(worst.rho) ? worst : null;
}
