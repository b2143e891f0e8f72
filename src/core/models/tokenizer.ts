import type { PromptToken } from '../../shared/traceDocument.ts';

/** Text ↔ token ids, as the model's own tokenizer does it. Adds a BOS token only if the model's tokenizer does. */
export interface Tokenizer {
  readonly dVocab: number;
  /** Whether `encode` puts a BOS token first. */
  readonly addsBos: boolean;
  /**
   * Tokens with UTF-16 offsets into `text`. A character split over several tokens belongs to the first of them.
   * `maxTokens`: only this many tokens are wanted, and no more of the text is read than they need.
   */
  encode(text: string, maxTokens?: number): PromptToken[];
  /** Ids of a piece of text with no special tokens added: for observables and answers. */
  encodePiece(text: string): number[];
  decode(ids: readonly number[]): string;
  /** The text of one token; bytes that are no valid UTF-8 alone are shown as `\xNN`. */
  tokenText(id: number): string;
}
