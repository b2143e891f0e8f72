/** GPT-2's splitting rule. `\s` is Unicode's White_Space here, which JavaScript's own `\s` is not. */
export const gpt2Pattern = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

const llama3Pattern =
  "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

const qwen2Pattern = llama3Pattern.replace('\\p{N}{1,3}', '\\p{N}');

/** llama.cpp's rule for files that name none. */
const defaultPatterns = ['[\\p{P}\\$\\+<=>\\^~\\|]+', gpt2Pattern, '\\p{N}+', '[0-9][0-9][0-9]'];

interface PreTokenizerRule {
  /** Applied one after the other; each isolates its matches. */
  readonly patterns: readonly string[];
  /** Whether a word that is in the vocabulary is taken whole, merges or not. */
  readonly ignoreMerges: boolean;
  /** Whether a BOS token is put first when the file does not say. */
  readonly addsBos: boolean;
}

const gpt2Rule: PreTokenizerRule = { patterns: [gpt2Pattern], ignoreMerges: false, addsBos: false };
const digitsRule: PreTokenizerRule = { ...gpt2Rule, patterns: ['\\p{N}', gpt2Pattern] };
const llama3Rule: PreTokenizerRule = { patterns: [llama3Pattern], ignoreMerges: true, addsBos: true };
const qwen2Rule: PreTokenizerRule = { ...gpt2Rule, patterns: [qwen2Pattern] };

/** Rules by the name in `tokenizer.ggml.pre`, as llama.cpp (`llama-vocab.cpp`) knows them. */
const rules = new Map<string, PreTokenizerRule>([
  ['default', { ...gpt2Rule, patterns: defaultPatterns }],
  ['gpt-2', gpt2Rule],
  ['mpt', gpt2Rule],
  ['olmo', gpt2Rule],
  ['phi-2', gpt2Rule],
  ['smollm', digitsRule],
  ['starcoder', digitsRule],
  ['refact', digitsRule],
  ['command-r', digitsRule],
  ['codeshell', digitsRule],
  ['llama-bpe', llama3Rule],
  ['llama3', llama3Rule],
  ['llama-v3', llama3Rule],
  ['qwen2', qwen2Rule],
  ['deepseek-r1-qwen', qwen2Rule],
]);

/** The rule of that name, or undefined. */
export function preTokenizerRule(name: string): PreTokenizerRule | undefined {
  return rules.get(name);
}

/** Names of all rules. */
export const preTokenizerNames: readonly string[] = [...rules.keys()];

/** `pre_tokenizer` of a `tokenizer.json`: splits by the patterns, then writes bytes in GPT-2's alphabet. */
export function splitThenBytes(patterns: readonly string[]): object {
  return {
    type: 'Sequence',
    pretokenizers: [
      ...patterns.map((pattern) => ({
        type: 'Split',
        pattern: { Regex: pattern },
        behavior: 'Isolated',
        invert: false,
      })),
      { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
    ],
  };
}

/**
 * Rewrites parts of a `pre_tokenizer` that `@huggingface/tokenizers` reads with JavaScript's `\s` and `\d` into splits
 * with Unicode's classes, which is what the original library uses: U+0085 is white space, U+FEFF is not, ² is a digit.
 */
export function exactPreTokenizer(preTokenizer: unknown): unknown {
  if (typeof preTokenizer !== 'object' || preTokenizer === null || !('type' in preTokenizer)) return preTokenizer;
  const { type } = preTokenizer;
  if (type === 'Sequence' && 'pretokenizers' in preTokenizer && Array.isArray(preTokenizer.pretokenizers)) {
    return { ...preTokenizer, pretokenizers: preTokenizer.pretokenizers.map(exactPreTokenizer) };
  }
  if (type === 'ByteLevel') {
    const prefixes = 'add_prefix_space' in preTokenizer && preTokenizer.add_prefix_space === true;
    const splits = !('use_regex' in preTokenizer) || preTokenizer.use_regex !== false;
    return splits && !prefixes ? splitThenBytes([gpt2Pattern]) : preTokenizer;
  }
  if (type === 'Digits' && 'individual_digits' in preTokenizer) {
    const pattern = preTokenizer.individual_digits === true ? '\\p{N}' : '\\p{N}+';
    return { type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false };
  }
  return preTokenizer;
}
