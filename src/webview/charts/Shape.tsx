import type { VNode } from 'preact';

/** Shapes that can be told apart at this size: filled dot, ring, triangle, square, then the same hollow or turned. */
const shapeCount = 6;

/** Path of a group's shape around a point, and whether it is filled. */
export function shapePath(
  group: number,
  x: number,
  y: number,
  r = 3,
): { readonly d: string; readonly filled: boolean } {
  const shape = group % shapeCount;
  const circle = `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`;
  const triangle = `M${x} ${y - r - 0.5}l${r + 0.5} ${1.8 * r}h${-2 * r - 1}z`;
  const square = `M${x - r + 0.4} ${y - r + 0.4}h${2 * r - 0.8}v${2 * r - 0.8}h${-2 * r + 0.8}z`;
  if (shape === 0) return { d: circle, filled: true };
  if (shape === 1) return { d: circle, filled: false };
  if (shape === 2) return { d: triangle, filled: true };
  if (shape === 3) return { d: square, filled: true };
  return { d: shape === 4 ? triangle : square, filled: false };
}

/** One shape of a group. */
export function Shape(props: {
  group: number;
  x: number;
  y: number;
  r?: number;
  color: string;
  ground: string;
}): VNode {
  const { d, filled } = shapePath(props.group, props.x, props.y, props.r);
  return (
    <path d={d} fill={filled ? props.color : props.ground} stroke={props.color} stroke-width={filled ? 0 : 1.25} />
  );
}
