import type { VNode } from 'preact';
import type { CircuitFile } from '../../shared/circuit.ts';
import type { Theme } from '../figures/theme.ts';

/** Roles of a circuit in the order in which they first occur, with how many nodes each has. */
export function rolesOf({
  nodes,
}: Pick<CircuitFile, 'nodes'>): readonly { readonly role: string; readonly count: number }[] {
  const counts = new Map<string, number>();
  for (const { role } of nodes) if (role !== undefined) counts.set(role, (counts.get(role) ?? 0) + 1);
  return [...counts].map(([role, count]) => ({ role, count }));
}

/** Colour of a role; the bar's pieces tell roles apart where colours do not. */
export function roleColor({ palette }: Theme, index: number): string {
  const colors = [palette.category1, palette.category2, palette.sequential];
  return colors[index % colors.length];
}

/** 4 px wide bar of a role: in one piece, two, three or four. */
export function RoleBar(props: { theme: Theme; index: number; x: number; y: number; height: number }): VNode {
  const { theme, index, x, y, height } = props;
  const pieces = (index % 4) + 1;
  const gap = 2;
  const piece = (height - gap * (pieces - 1)) / pieces;
  return (
    <g fill={roleColor(theme, index)}>
      {Array.from({ length: pieces }, (_, i) => (
        <rect key={i} x={x} y={y + i * (piece + gap)} width={4} height={piece} />
      ))}
    </g>
  );
}
