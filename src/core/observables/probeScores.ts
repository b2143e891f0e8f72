/** Squared Pearson correlation; 0 where one of the two does not vary. */
export function rSquaredOf(x: readonly number[], y: readonly number[]): number {
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [mx, my] = [mean(x), mean(y)];
  let [xx, yy, xy] = [0, 0, 0];
  for (let i = 0; i < x.length; i += 1) {
    xx += (x[i] - mx) ** 2;
    yy += (y[i] - my) ** 2;
    xy += (x[i] - mx) * (y[i] - my);
  }
  return xx > 0 && yy > 0 ? xy ** 2 / (xx * yy) : 0;
}

/** Share of pairs of a positive and a negative whose positive scores higher, ties half (Mann and Whitney). NaN without both. */
export function aucOf(scores: readonly number[], positive: readonly boolean[]): number {
  const order = scores.map((_, i) => i).sort((a, b) => scores[a] - scores[b]);
  let [ranks, count] = [0, 0];
  for (let i = 0; i < order.length; ) {
    let end = i;
    while (end < order.length && scores[order[end]] === scores[order[i]]) end += 1;
    // Ties share their mean rank.
    const rank = (i + end + 1) / 2;
    for (; i < end; i += 1) {
      if (!positive[order[i]]) continue;
      ranks += rank;
      count += 1;
    }
  }
  const others = order.length - count;
  return (ranks - (count * (count + 1)) / 2) / (count * others);
}
