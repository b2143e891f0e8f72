/** Text as HTML: nothing of it is markup. Also safe inside a Markdown table (`|`, backtick, line breaks). */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"'|`*_[\]\\~$\r\n]/g, (c) => `&#${c.codePointAt(0)};`);
}

/** Text as a Markdown code span, whatever backticks or bars it holds. */
export function codeSpan(text: string): string {
  return `<code>${escapeHtml(text)}</code>`;
}
