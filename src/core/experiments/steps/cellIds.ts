/** A text as a part of a cell's id: letters, digits and `.:@+-` stay, anything else becomes its code point. */
export function idPart(text: string): string {
  return text.replace(/[^A-Za-z0-9.:@-]/gu, (character) => `+${(character.codePointAt(0) ?? 0).toString(16)}+`);
}
