import type { ObservableSpec, TermCheck } from '../../shared/engineProtocol.ts';
import { MechanistError } from '../../shared/errors.ts';
import { visibleToken } from '../../shared/format.ts';
import type { ObservableTerm } from '../../shared/traceDocument.ts';

/** The part of a tokenizer that observables need. */
export interface PieceTokenizer {
  encodePiece(text: string): number[];
  tokenText(id: number): string;
}

export interface ResolvedObservable {
  readonly terms: readonly ObservableTerm[];
  /** `␣she − ␣he` */
  readonly label: string;
}

/** Terms named in a label; the rest are counted. */
const LABEL_TERMS = 4;

/** Spellings that people probably meant. */
function spellings(text: string): string[] {
  const bare = text.trim();
  const capital = bare.charAt(0).toUpperCase() + bare.slice(1);
  return [` ${bare}`, bare, ` ${bare.toLowerCase()}`, ` ${capital}`].filter((spelling) => spelling !== text);
}

function checkTerm(text: string, tokenizer: PieceTokenizer): TermCheck {
  const pieces = tokenizer.encodePiece(text).map((id) => ({ id, text: tokenizer.tokenText(id) }));
  const isToken = (spelling: string) => tokenizer.encodePiece(spelling).length === 1;
  if (pieces.length === 1) {
    const spaced = /^\p{L}/u.test(text) && isToken(` ${text}`) ? ` ${text}` : null;
    return { text, pieces, suggestion: null, spaced };
  }
  const suggestion = text.trim() === '' ? null : (spellings(text).find(isToken) ?? null);
  return { text, pieces, suggestion, spaced: null };
}

/** How each key of an observable tokenizes. Never throws on text. */
export function checkTerms(terms: readonly string[], tokenizer: PieceTokenizer): TermCheck[] {
  return terms.map((text) => checkTerm(text, tokenizer));
}

function splitError({ text, pieces, suggestion }: TermCheck): MechanistError {
  const shown = pieces.map((piece) => visibleToken(piece.text)).join(' | ');
  const advice =
    suggestion === null
      ? 'An observable is made of single tokens; choose a word that is one token.'
      : `Write "${suggestion}", which is one token.`;
  const what = pieces.length === 0 ? 'is no token' : `is ${pieces.length} tokens: ${shown}`;
  return new MechanistError('token-splits', `"${text}" ${what}. ${advice}`, { term: text, pieces, suggestion });
}

type Weighted = Pick<ObservableTerm, 'text' | 'weight'>;

function termLabel({ text, weight }: Weighted): string {
  const size = Math.abs(weight);
  return size === 1 ? visibleToken(text) : `${size}·${visibleToken(text)}`;
}

/** `␣she − ␣he`; weights other than ±1 as `2·␣x`; more than four terms end in `… (7 terms)`. Positive terms first. */
export function observableLabel(terms: readonly Weighted[]): string {
  const ordered = [...terms.filter((term) => term.weight > 0), ...terms.filter((term) => term.weight <= 0)];
  const shown = ordered.slice(0, LABEL_TERMS).map((term, index) => {
    const sign = index === 0 ? (term.weight < 0 ? '−' : '') : term.weight < 0 ? ' − ' : ' + ';
    return sign + termLabel(term);
  });
  return shown.join('') + (ordered.length > LABEL_TERMS ? ` … (${ordered.length} terms)` : '');
}

/** The tokens of an observable with their weights, as they are written. */
export function specTerms(spec: ObservableSpec): readonly Weighted[] {
  return Object.entries(spec).map(([text, weight]) => ({ text, weight }));
}

/** What a person wrote, as `observableLabel`. */
export function specLabel(spec: ObservableSpec): string {
  return observableLabel(specTerms(spec));
}

/**
 * Turns what a person wrote into token ids.
 * @throws MechanistError `bad-input` (no terms, or a weight that is zero or not finite), `token-splits` (with the split
 * and, where there is one, the spelling that is a single token)
 */
export function resolveObservable(spec: ObservableSpec, tokenizer: PieceTokenizer): ResolvedObservable {
  const entries = Object.entries(spec);
  if (entries.length === 0) {
    throw new MechanistError(
      'bad-input',
      'The observable is empty. Name at least one token with a weight, such as {" she": 1, " he": -1}.',
    );
  }
  const terms = entries.map(([text, weight]) => {
    if (typeof weight !== 'number' || !Number.isFinite(weight) || weight === 0) {
      throw new MechanistError(
        'bad-input',
        `The weight of "${text}" must be a finite number other than 0, not ${weight}.`,
        { term: text },
      );
    }
    const check = checkTerm(text, tokenizer);
    if (check.pieces.length !== 1) throw splitError(check);
    return { id: check.pieces[0].id, text: check.pieces[0].text, weight };
  });
  return { terms, label: observableLabel(terms) };
}
