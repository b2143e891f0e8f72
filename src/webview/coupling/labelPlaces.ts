import type { Box } from '../figures/matrixModel.ts';

/** A text beside a point, px: baseline, and which end of it is at `x`. */
export interface PlacedLabel {
  readonly point: number;
  readonly x: number;
  readonly y: number;
  readonly anchor: 'start' | 'end';
}

interface Wanted {
  /** Index of the point, its place, and px that its text takes. */
  readonly point: number;
  readonly x: number;
  readonly y: number;
  readonly width: number;
}

const lineHeight = 12;

const overlap = (a: Box, b: Box): boolean =>
  a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;

/**
 * Labels beside their points, the most wanted first: none touches another one, a named point, or the end of the plot. A text
 * that finds no room is left out.
 */
export function placeLabels(wanted: readonly Wanted[], plot: Box, taken: readonly Box[], most: number): PlacedLabel[] {
  const boxes: Box[] = [...taken];
  const dots = wanted.map(({ x, y }): Box => ({ x: x - 4, y: y - 4, width: 8, height: 8 }));
  const placed: PlacedLabel[] = [];
  for (const [i, { point, x, y, width }] of wanted.entries()) {
    if (placed.length === most) break;
    const sides = [
      { anchor: 'start' as const, dx: 6, dy: 4 },
      { anchor: 'end' as const, dx: -6, dy: 4 },
      { anchor: 'start' as const, dx: -4, dy: -8 },
      { anchor: 'start' as const, dx: -4, dy: 16 },
      { anchor: 'end' as const, dx: 4, dy: -8 },
      { anchor: 'end' as const, dx: 4, dy: 16 },
    ];
    for (const { anchor, dx, dy } of sides) {
      const left = anchor === 'start' ? x + dx : x + dx - width;
      const box = { x: left, y: y + dy - lineHeight + 3, width, height: lineHeight };
      const inside = box.x >= plot.x && box.x + box.width <= plot.x + plot.width && box.y >= plot.y;
      if (!inside || box.y + box.height > plot.y + plot.height) continue;
      const named = dots.slice(0, i).filter((_, j) => placed.some((label) => label.point === wanted[j].point));
      if ([...boxes, ...named].some((other) => overlap(box, other))) continue;
      if (boxes.some((other) => overlap(dots[i], other))) break;
      boxes.push(box);
      placed.push({ point, anchor, x: x + dx, y: y + dy });
      break;
    }
  }
  return placed;
}

/**
 * Points from the outermost inwards: by Mahalanobis distance in the sample, so that both a large score and one off the line
 * count. Of equal texts only the outermost.
 */
export function outermost(points: readonly (readonly [x: number, y: number])[], texts: readonly string[]): number[] {
  const known = points.flatMap(([x, y], i) => (Number.isFinite(x) && Number.isFinite(y) ? [i] : []));
  const n = known.length;
  if (n < 3) return known;
  const mean = (axis: 0 | 1): number => known.reduce((sum, i) => sum + points[i][axis], 0) / n;
  const centre = [mean(0), mean(1)] as const;
  const product = (a: 0 | 1, b: 0 | 1): number =>
    known.reduce((sum, i) => sum + (points[i][a] - centre[a]) * (points[i][b] - centre[b]), 0) / n;
  const [xx, xy, yy] = [product(0, 0), product(0, 1), product(1, 1)];
  // A sample on one line has no inverse: a little of the larger variance keeps it finite.
  const ridge = 1e-6 * Math.max(xx, yy, 1e-300);
  const determinant = (xx + ridge) * (yy + ridge) - xy * xy;
  const distance = (i: number): number => {
    const [dx, dy] = [points[i][0] - centre[0], points[i][1] - centre[1]];
    return ((yy + ridge) * dx * dx - 2 * xy * dx * dy + (xx + ridge) * dy * dy) / determinant;
  };
  const order = known.map((i) => ({ i, size: distance(i) })).sort((a, b) => b.size - a.size);
  const seen = new Set<string>();
  return order.flatMap(({ i }) => {
    if (seen.has(texts[i])) return [];
    seen.add(texts[i]);
    return [i];
  });
}
