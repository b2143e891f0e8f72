import type { Chunk } from './ablationValues.ts';

/** What is known of groups of rows, made when first needed; the oldest ones are dropped when they outgrow their memory. */
export class ChunkCache<T> {
  private readonly known = new Map<Chunk, Promise<T>>();

  /**
   * @param bytesOf bytes that one row of a length holds
   * @param maxBytes of all; the one in use is held in any case
   */
  constructor(
    private readonly make: (chunk: Chunk, signal: AbortSignal | undefined) => Promise<T>,
    private readonly bytesOf: (count: number) => number,
    private readonly maxBytes: number,
  ) {}

  get(chunk: Chunk, signal: AbortSignal | undefined): Promise<T> {
    const known = this.known.get(chunk);
    if (known !== undefined) return known;
    const bytes = (one: Chunk) => one.items.length * this.bytesOf(one.count);
    let held = [...this.known.keys()].reduce((sum, one) => sum + bytes(one), bytes(chunk));
    for (const oldest of [...this.known.keys()]) {
      if (held <= this.maxBytes) break;
      held -= bytes(oldest);
      this.known.delete(oldest);
    }
    const made = this.make(chunk, signal);
    this.known.set(chunk, made);
    made.catch(() => this.known.delete(chunk));
    return made;
  }

  clear(): void {
    this.known.clear();
  }
}
