import type { CircuitEvaluation } from '../../shared/circuit.ts';
import type { FiguresDocument } from '../../shared/figures.ts';
import { count } from '../../shared/format.ts';
import { evaluationFigures } from '../circuit/evaluationPictures.ts';

/** The figures of any document that this panel shows. */
export function asFigures(document: FiguresDocument | CircuitEvaluation): FiguresDocument {
  return document.kind === 'figures' ? document : evaluationFigures(document);
}

/** The step's own subtitle, then model, patches and hash, unless it has them already. */
export function subtitleOf({ subtitle, provenance }: FiguresDocument): string {
  if (subtitle.includes(`#${provenance.hash}`)) return subtitle;
  const patches = provenance.patches.length === 0 ? 'no patches' : `patches ${provenance.patches.join(', ')}`;
  return `${subtitle} · ${provenance.modelLabel}, ${patches} · #${provenance.hash}`;
}

/** `183 of 270 cells are done; the others are hatched.` Null for a whole result. */
export function partialText({ complete, cells }: FiguresDocument): string | null {
  if (complete) return null;
  return `${count(cells.done)} of ${count(cells.total)} cells are done; what is missing is hatched or left out. Run the step again to go on.`;
}

/** A name for exported files. */
export function fileStem({ analysis, provenance }: FiguresDocument): string {
  return `${analysis}-${provenance.hash}`.replace(/[^\w.-]+/g, '-');
}

/** One line for a paper or a commit. */
export function citationOf(document: FiguresDocument): string {
  const { provenance } = document;
  const version = `Mechanist ${provenance.mechanistVersion}`;
  return `${document.title}. ${subtitleOf(document)}. ${version}, model sha256 ${provenance.modelHash.slice(0, 12)}.`;
}

/** What the result is made of: name and value. */
export function factsOf(document: FiguresDocument): readonly (readonly [string, string])[] {
  const { provenance, request, cost } = document;
  return [
    ['analysis', document.analysis],
    ['request', JSON.stringify(request)],
    ['ablation', provenance.ablation],
    ['model', `${provenance.modelLabel} (${provenance.model})`],
    ['sha256 of the weights', provenance.modelHash],
    ['patches', provenance.patches.join(', ') || 'none'],
    ['cost', `${count(cost.forwardPasses)} forward passes, ${cost.seconds.toFixed(1)} s`],
    ['BOS', provenance.bos],
    ['arithmetic', `${provenance.dtype}, weights as stored`],
    ['Mechanist', `${provenance.mechanistVersion}, result #${provenance.hash}`],
  ];
}
