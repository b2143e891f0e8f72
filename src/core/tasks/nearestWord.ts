/** Number of insertions, deletions and replacements between two short words. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(replaced, (previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1));
    }
    previous = row;
  }
  return previous[b.length] ?? 0;
}

/** The word of `known` that `word` was probably meant to be: at most half its letters away. Null when none is near. */
export function nearestWord(word: string, known: readonly string[]): string | null {
  const typed = word.trim().toLowerCase();
  if (typed.length === 0 || typed.length > 40) return null;
  const ranked = known.map((k) => ({ k, distance: editDistance(typed, k.toLowerCase()) }));
  ranked.sort((x, y) => x.distance - y.distance);
  const best = ranked[0];
  if (best === undefined) return null;
  const prefix = typed.length >= 3 && best.k.toLowerCase().startsWith(typed);
  return prefix || best.distance <= Math.min(3, Math.floor(best.k.length / 2)) ? best.k : null;
}
