/** Keys and indices from the root of a JSON text to a value. */
export type JsonPath = readonly (string | number)[];

/** UTF-16 offsets, end exclusive. */
export interface TextRange {
  readonly start: number;
  readonly end: number;
}

/** Deeper than any dataset; a line of 100,000 brackets must not end the stack. */
const deepest = 100;

const literal = /true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: JSON forbids raw control characters in strings.
const string = /"[^"\\\u0000-\u001f]*(?:\\(?:["\\/bfnrt]|u[\da-fA-F]{4})[^"\\\u0000-\u001f]*)*"/y;
const blank = /[ \t\n\r]*/y;

class SyntaxAt extends Error {
  constructor(readonly offset: number) {
    super();
  }
}

/** Walks JSON text by its grammar (RFC 8259) and tells where each value stands. */
class Walker {
  private at = 0;

  constructor(
    private readonly text: string,
    private readonly visit: (path: JsonPath, range: TextRange) => void,
  ) {}

  walk(): void {
    this.value([]);
    this.skip();
    if (this.at < this.text.length) throw new SyntaxAt(this.at);
  }

  private take(pattern: RegExp): string | null {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text)?.[0] ?? null;
    if (found !== null) this.at += found.length;
    return found;
  }

  private skip(): void {
    this.take(blank);
  }

  private expect(mark: string): void {
    this.skip();
    if (this.text[this.at] !== mark) throw new SyntaxAt(this.at);
    this.at++;
  }

  private takeString(): string {
    this.skip();
    const start = this.at;
    const found = this.take(string);
    if (found === null) throw new SyntaxAt(start);
    return JSON.parse(found) as string;
  }

  private value(path: JsonPath): void {
    if (path.length > deepest) throw new SyntaxAt(this.at);
    this.skip();
    const start = this.at;
    const first = this.text[start];
    if (first === '{') this.members(path, '}');
    else if (first === '[') this.members(path, ']');
    else if (first === '"') this.takeString();
    else if (this.take(literal) === null) throw new SyntaxAt(start);
    this.visit(path, { start, end: this.at });
  }

  private members(path: JsonPath, close: '}' | ']'): void {
    this.at++;
    this.skip();
    if (this.text[this.at] === close) {
      this.at++;
      return;
    }
    for (let index = 0; ; index++) {
      if (close === ']') this.value([...path, index]);
      else {
        const key = this.takeString();
        this.expect(':');
        this.value([...path, key]);
      }
      this.skip();
      if (this.text[this.at] === ',') this.at++;
      else {
        this.expect(close);
        return;
      }
    }
  }
}

/** Offset of the first character that is not JSON; null when all of it is. Nesting over 100 deep counts as wrong. */
export function firstJsonError(text: string): number | null {
  try {
    new Walker(text, () => {}).walk();
    return null;
  } catch (error) {
    if (error instanceof SyntaxAt) return error.offset;
    throw error;
  }
}

/**
 * Where the value at each path stands, or the nearest value around it; null where the text is no JSON up to there. One walk.
 */
export function locateAllJson(text: string, paths: readonly JsonPath[]): (TextRange | null)[] {
  const key = (path: JsonPath) => JSON.stringify(path);
  const wanted = new Set(paths.flatMap((path) => [...path, null].map((_, i) => key(path.slice(0, i)))));
  const deepestWanted = Math.max(0, ...paths.map((path) => path.length));
  const found = new Map<string, TextRange>();
  const visit = (path: JsonPath, range: TextRange) => {
    if (path.length <= deepestWanted && wanted.has(key(path))) found.set(key(path), range);
  };
  try {
    new Walker(text, visit).walk();
  } catch (error) {
    if (!(error instanceof SyntaxAt)) throw error;
  }
  return paths.map((path) => {
    for (let length = path.length; length >= 0; length--) {
      const range = found.get(key(path.slice(0, length)));
      if (range !== undefined) return range;
    }
    return null;
  });
}

/** `locateAllJson` of one path. */
export function locateJson(text: string, path: JsonPath): TextRange | null {
  return locateAllJson(text, [path])[0];
}
