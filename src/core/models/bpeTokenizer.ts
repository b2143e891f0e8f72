import { BPE, type Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import type { PromptToken } from '../../shared/traceDocument.ts';
import { byteLevelBytes, escapedText, lossyText } from './byteLevel.ts';
import { WordMerger } from './mergeLongWord.ts';
import type { Tokenizer } from './tokenizer.ts';
import { type TokenOffsets, tokenOffsets } from './tokenOffsets.ts';

/** How a vocabulary writes bytes: GPT-2's alphabet, or SentencePiece's `▁` and `<0x0A>`. */
export type TokenSpelling = 'byte-level' | 'sentence-piece';

export interface TokenizerParts {
  readonly library: HuggingFaceTokenizer;
  readonly spelling: TokenSpelling;
  /** Ids put before and after every text. */
  readonly before: readonly number[];
  readonly after: readonly number[];
  readonly bosId: number | null;
  readonly dVocab: number;
}

/** Longest token that is taken into account when only the start of a text is tokenised, in UTF-16 units. */
const cutMargin = 512;

/** A tokenizer over `@huggingface/tokenizers`, with offsets and with texts of single tokens. */
export class BpeTokenizer implements Tokenizer {
  readonly dVocab: number;
  readonly addsBos: boolean;
  private readonly library: HuggingFaceTokenizer;
  private readonly pieces = new Map<number, Uint8Array>();
  private readonly addedTokens: ReadonlyMap<number, { readonly content: string }>;

  constructor(private readonly parts: TokenizerParts) {
    this.library = parts.library;
    mergeLongWordsFast(this.library);
    this.addedTokens = this.library.get_added_tokens_decoder();
    this.dVocab = parts.dVocab;
    this.addsBos = parts.bosId !== null && parts.before[0] === parts.bosId;
  }

  encode(text: string, maxTokens = Number.POSITIVE_INFINITY): PromptToken[] {
    const { before, after } = this.parts;
    const wanted = maxTokens - before.length;
    const clean = wellFormed(text);
    const { ids, offsets } = this.encodeStart(clean, wanted);
    const tokens: PromptToken[] = before.map((id) => ({ id, text: this.tokenText(id), start: 0, end: 0 }));
    for (let i = 0; i < ids.length && i < wanted; i++) {
      tokens.push({ id: ids[i], text: this.tokenText(ids[i]), start: offsets.starts[i], end: offsets.ends[i] });
    }
    const end = text.length;
    for (const id of after) tokens.push({ id, text: this.tokenText(id), start: end, end });
    return tokens.length > maxTokens ? tokens.slice(0, Math.max(0, maxTokens)) : tokens;
  }

  /** Tokens of at least the first `wanted` of the text: a start of the text is tried, twice as long each time. */
  private encodeStart(text: string, wanted: number): { ids: readonly number[]; offsets: TokenOffsets } {
    let length = Math.min(text.length, wanted * 8 + cutMargin);
    for (;;) {
      const whole = !(length < text.length);
      const part = whole ? text : cutBetweenCharacters(text, length);
      const ids = this.encodePiece(part);
      const offsets = this.offsets(part, ids);
      // Near the cut the split differs from that of the whole text; only what lies well before it counts.
      if (whole || (wanted <= ids.length && (offsets.ends[wanted - 1] ?? 0) <= part.length - cutMargin)) {
        return { ids, offsets };
      }
      length *= 2;
    }
  }

  private offsets(text: string, ids: readonly number[]): TokenOffsets {
    return tokenOffsets(
      text,
      ids.map((id) => this.bytes(id)),
    );
  }

  encodePiece(text: string): number[] {
    if (text === '') return [];
    return this.library.encode(wellFormed(text), { add_special_tokens: false }).ids;
  }

  decode(ids: readonly number[]): string {
    const pieces = ids.map((id) => this.bytes(id));
    const all = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
    let at = 0;
    for (const piece of pieces) {
      all.set(piece, at);
      at += piece.length;
    }
    return lossyText(all);
  }

  tokenText(id: number): string {
    return escapedText(this.bytes(id));
  }

  /** The bytes of one token. Ids beyond the vocabulary (padding rows of the embedding) are written `<id N>`. */
  private bytes(id: number): Uint8Array {
    const known = this.pieces.get(id);
    if (known) return known;
    const bytes = this.spelledBytes(id);
    this.pieces.set(id, bytes);
    return bytes;
  }

  private spelledBytes(id: number): Uint8Array {
    const utf8 = new TextEncoder();
    const added = this.addedTokens.get(id);
    if (added) return utf8.encode(added.content);
    const token = this.library.id_to_token(id);
    if (token === undefined) return utf8.encode(`<id ${id}>`);
    if (this.parts.spelling === 'byte-level') return byteLevelBytes(token);
    const byte = /^<0x([0-9A-F]{2})>$/.exec(token);
    return byte ? Uint8Array.of(Number.parseInt(byte[1], 16)) : utf8.encode(token.replaceAll('▁', ' '));
  }
}

/** Length from which a word is split by `WordMerger`; shorter ones are in the library's cache. */
const longWord = 256;

/** The library takes ten seconds for a megabyte of spaces: a word of more than 256 characters is split here instead. */
function mergeLongWordsFast({ model }: HuggingFaceTokenizer): void {
  if (!(model instanceof BPE) || model.end_of_word_suffix || model.continuing_subword_suffix) return;
  const splitShort = model.bpe.bind(model);
  let merger: WordMerger | null = null;
  model.bpe = (word) => {
    if (word.length < longWord) return splitShort(word);
    merger ??= new WordMerger(model.tokens_to_ids, model.merges);
    return merger.split(word);
  };
}

/** Lone surrogates are no text; they become U+FFFD, as in every UTF-8 encoder. Offsets stay. */
function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, '\uFFFD');
}

function cutBetweenCharacters(text: string, length: number): string {
  const unit = text.charCodeAt(length - 1);
  return text.slice(0, unit >= 0xd800 && unit < 0xdc00 ? length - 1 : length);
}
