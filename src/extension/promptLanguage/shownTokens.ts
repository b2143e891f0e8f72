import type { PromptSection } from '../../core/tasks/promptFile.ts';
import { isBesideScale } from '../../shared/attributionScale.ts';
import type { TraceDocument } from '../../shared/traceDocument.ts';

/** A token whose tint is on screen; offsets in the document. */
export interface ShownToken {
  readonly start: number;
  readonly end: number;
  /** Logits. */
  readonly value: number;
  /** Does not choose the end of the scale. */
  readonly besideScale?: true;
}

/** The tinted tokens of one prompt. They stay, moved along with edits, until the prompt has been traced again. */
export interface ShownPrompt {
  readonly start: number;
  readonly end: number;
  readonly tokens: readonly ShownToken[];
}

/** A replacement of `length` characters at `offset` by `inserted` characters. */
export interface TextChange {
  readonly offset: number;
  readonly length: number;
  readonly inserted: number;
}

/** Tokens of a traced prompt at their place in the document. */
export function placeTokens(prompt: PromptSection, document: TraceDocument): ShownPrompt {
  const tokens = document.tokens
    .map((token, i) => ({
      start: prompt.toOffset(token.start),
      end: prompt.toOffset(token.end),
      value: document.attributions[i] ?? Number.NaN,
      ...(isBesideScale(document, i) && { besideScale: true as const }),
    }))
    .filter((token) => token.end > token.start);
  return { start: prompt.start, end: prompt.end, tokens };
}

/** Where an offset is after a change; inside the replaced text it goes to its start (or end, for the end of a range). */
function moveOffset(offset: number, change: TextChange, isEnd: boolean): number {
  const changeEnd = change.offset + change.length;
  if (offset < change.offset || (isEnd && offset === change.offset)) return offset;
  if (offset >= changeEnd) return offset + change.inserted - change.length;
  return isEnd ? change.offset : change.offset + change.inserted;
}

function moveRange<T extends { readonly start: number; readonly end: number }>(range: T, change: TextChange): T {
  const start = moveOffset(range.start, change, false);
  return { ...range, start, end: Math.max(start, moveOffset(range.end, change, true)) };
}

/** Shown prompts after an edit; tokens that were deleted are gone. Changes are those of one event: last in the text first. */
export function moveShown(shown: readonly ShownPrompt[], changes: readonly TextChange[]): ShownPrompt[] {
  let moved = [...shown];
  for (const change of changes) {
    moved = moved.map((prompt) => {
      if (prompt.end < change.offset) return prompt;
      const tokens = prompt.tokens.map((token) => moveRange(token, change)).filter((token) => token.end > token.start);
      return { ...moveRange(prompt, change), tokens };
    });
  }
  return moved;
}
