/** A text as a part of a cell's id: letters, digits and `.:@+-` stay, anything else becomes its code point. */
export function idPart(text: string): string {
  return text.replace(/[^A-Za-z0-9.:@-]/gu, (character) => `+${(character.codePointAt(0) ?? 0).toString(16)}+`);
}

/** Rows of a chunked cell: `rows:64-127` for the second of 64. */
export interface RowChunk {
  readonly id: string;
  /** Indices into the task's items. */
  readonly rows: readonly number[];
}

/** Prompts of a cell that is one batch. */
const CHUNK = 64;

/** The rows of a task in chunks, in their order. */
export function rowChunks(count: number): readonly RowChunk[] {
  return Array.from({ length: Math.ceil(count / CHUNK) }, (_, chunk) => {
    const first = chunk * CHUNK;
    const rows = Array.from({ length: Math.min(CHUNK, count - first) }, (_, i) => first + i);
    return { id: `rows:${first}-${first + rows.length - 1}`, rows };
  });
}
