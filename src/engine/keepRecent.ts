/** Entries kept: what is looked at now, and what was before. */
const KEPT = 3;

/** Puts an entry behind all others and forgets the oldest ones. */
export function keepRecent<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  for (const old of map.keys()) {
    if (map.size <= KEPT) break;
    map.delete(old);
  }
}
