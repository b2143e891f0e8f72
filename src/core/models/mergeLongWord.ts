/** Room for positions in a heap key: rank · 2^26 + position stays a whole number in float64. */
const positionRange = 2 ** 26;

/** Merge rules of a BPE vocabulary over whole numbers, made for words of thousands of characters. */
export class WordMerger {
  private readonly ids: ReadonlyMap<string, number>;
  private readonly tokens: readonly string[];
  /** left · size + right → rank and merged id. */
  private readonly merges = new Map<number, { readonly rank: number; readonly merged: number }>();

  /**
   * @param vocab token → id
   * @param merges pairs, most important first
   */
  constructor(vocab: ReadonlyMap<string, number>, merges: readonly (readonly string[])[]) {
    const tokens = [...vocab.keys()];
    const ids = new Map(tokens.map((token, index) => [token, index]));
    merges.forEach(([left, right], rank) => {
      const [a, b, merged] = [ids.get(left), ids.get(right), ids.get(left + right)];
      if (a === undefined || b === undefined || merged === undefined) return;
      // A pair that is there twice counts where it stands last, as in the library.
      this.merges.set(a * tokens.length + b, { rank, merged });
    });
    this.ids = ids;
    this.tokens = tokens;
  }

  /**
   * Splits a word as byte-pair encoding does: the most important pair is merged first, the leftmost of equals. Takes
   * n log n steps: a megabyte of one letter or of spaces in about a second.
   */
  split(word: string): string[] {
    const characters = Array.from(word);
    const length = characters.length;
    if (length >= positionRange) throw new RangeError('The text is too long for one word.');
    // Characters outside of the vocabulary stay as they are: -1 merges with nothing.
    const symbols = Int32Array.from(characters, (character) => this.ids.get(character) ?? -1);
    const next = Int32Array.from(characters, (_, i) => i + 1);
    const previous = Int32Array.from(characters, (_, i) => i - 1);
    const queue = new MinHeap(length);
    const push = (left: number) => {
      const merge = this.mergeAt(symbols, left, next[left]);
      if (merge) queue.push(merge.rank * positionRange + left);
    };
    for (let i = 0; i + 1 < length; i++) push(i);
    for (let key = queue.pop(); key !== undefined; key = queue.pop()) {
      const left = key % positionRange;
      const right = next[left];
      const merge = this.mergeAt(symbols, left, right);
      // Stale entries: the left part is gone, or its pair has become another one.
      if (!merge || merge.rank !== Math.floor(key / positionRange)) continue;
      symbols[left] = merge.merged;
      symbols[right] = -2;
      next[left] = next[right];
      if (next[left] < length) previous[next[left]] = left;
      push(left);
      if (previous[left] >= 0) push(previous[left]);
    }
    const out: string[] = [];
    for (let i = 0; i < length; i = next[i]) out.push(symbols[i] >= 0 ? this.tokens[symbols[i]] : characters[i]);
    return out;
  }

  private mergeAt(symbols: Int32Array, left: number, right: number) {
    if (right >= symbols.length || symbols[left] < 0 || symbols[right] < 0) return undefined;
    return this.merges.get(symbols[left] * this.tokens.length + symbols[right]);
  }
}

/** Smallest first. */
class MinHeap {
  private keys: Float64Array;
  private size = 0;

  constructor(capacity: number) {
    this.keys = new Float64Array(Math.max(16, capacity));
  }

  push(key: number): void {
    if (this.size === this.keys.length) {
      const larger = new Float64Array(this.size * 2);
      larger.set(this.keys);
      this.keys = larger;
    }
    const { keys } = this;
    let at = this.size++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (keys[parent] <= key) break;
      keys[at] = keys[parent];
      at = parent;
    }
    keys[at] = key;
  }

  pop(): number | undefined {
    if (this.size === 0) return undefined;
    const { keys } = this;
    const top = keys[0];
    const last = keys[--this.size];
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.size) break;
      if (child + 1 < this.size && keys[child + 1] < keys[child]) child += 1;
      if (keys[child] >= last) break;
      keys[at] = keys[child];
      at = child;
    }
    keys[at] = last;
    return top;
  }
}
