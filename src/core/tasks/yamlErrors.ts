import type { YAMLError } from 'yaml';

/** A key as it is written: in quotes, or up to its colon. */
const keyText = /^(?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s:{}[\],]+)/;

/** What is wrong with a YAML text, in a sentence, and the stretch of it that is to blame (UTF-16 offsets). */
export function describeYamlError(
  text: string,
  { code, pos, message }: Pick<YAMLError, 'code' | 'pos' | 'message'>,
): { readonly from: number; readonly to: number; readonly message: string } {
  const [from, to] = pos;
  if (code === 'DUPLICATE_KEY') {
    const key = keyText.exec(text.slice(from))?.[0] ?? text.slice(from, to);
    return { from, to: from + key.length, message: `${key} stands here twice: keep one of the two.` };
  }
  return { from, to, message: `Not valid YAML: ${message.split('\n')[0] ?? 'not YAML'}` };
}
