import type { ComponentChildren, VNode } from 'preact';
import { isHighContrast } from '../../shared/palette.ts';
import { fitText } from '../charts/chartText.ts';
import { fitToken } from '../figures/text.ts';
import type { Theme } from '../figures/theme.ts';
import { unspoken } from '../figures/unspoken.ts';
import { boxHeight, boxWidth, type DiagramBox, type DiagramLayout, type Wire } from './diagramTypes.ts';
import { RoleBar } from './roleMarks.tsx';

export interface DrawingProps {
  readonly theme: Theme;
  readonly layout: DiagramLayout;
  /** Index of each role's mark. */
  readonly roles: readonly string[];
  /** Box whose lines stand out. */
  readonly selected: string | null;
  /** What the logits box says: `O − best other`. */
  readonly logitsLabel: string;
}

/** Colour and dashes of a signed line: sign is never colour alone. */
export function lineOf(
  { palette }: Theme,
  effect: number | null,
): { readonly stroke: string; readonly dash: string | undefined } {
  if (effect === null) return { stroke: palette.secondary, dash: undefined };
  if (effect < 0) return { stroke: palette.negative, dash: '5 3' };
  return { stroke: isHighContrast(palette) ? palette.foreground : palette.positive, dash: undefined };
}

/** Layer lines and labels, residual streams, tokens and roles. */
function Axes({ theme, layout }: DrawingProps): VNode {
  const { palette } = theme;
  const { columns, layers, top, bottom } = layout;
  const right = layout.width - 8;
  const roles = columns.some(({ role }) => role !== null);
  return (
    <g font-family={theme.uiFont} font-size={11} fill={palette.secondary} {...unspoken}>
      {layers.map(({ layer, y, label }) => (
        <g key={layer}>
          {label === '' ? null : <line x1={40} x2={right} y1={y} y2={y} stroke={palette.grid} opacity={0.45} />}
          <text x={32} y={y + 4} text-anchor="end">
            {label}
          </text>
        </g>
      ))}
      {columns.map(({ id, x, width, token, role }) => (
        <g key={id}>
          <line x1={x} x2={x} y1={top + 6} y2={bottom} stroke={palette.grid} />
          <text x={x} y={bottom + 16} text-anchor="middle" font-family={theme.codeFont} fill={palette.foreground}>
            {fitToken(token, width - 4, 11)}
          </text>
          <text x={x} y={bottom + 33} text-anchor="middle">
            {fitText(role ?? '', width - 2, 11)}
          </text>
        </g>
      ))}
      <text x={32} y={bottom + 16} text-anchor="end">
        token
      </text>
      {roles ? (
        <text x={32} y={bottom + 33} text-anchor="end">
          role
        </text>
      ) : null}
    </g>
  );
}

interface Stretch {
  readonly x: number;
  readonly from: number;
  readonly to: number;
  readonly effect: number | null;
  readonly size: number;
}

/** Streams carry what flows through them: lines over each other in one stream become one line as wide as their sum. */
function stretches({ wires }: DiagramLayout): Stretch[] {
  const trunks = wires.flatMap(({ trunk, effect }) => (trunk ? [{ ...trunk, effect }] : []));
  return [...new Set(trunks.map(({ x }) => x))].flatMap((x) => {
    const own = trunks.filter((trunk) => trunk.x === x);
    const cuts = [...new Set(own.flatMap(({ from, to }) => [from, to]))].sort((a, b) => a - b);
    return cuts.slice(1).flatMap((from, i): Stretch[] => {
      const to = cuts[i];
      const through = own.filter((trunk) => trunk.from >= from && trunk.to <= to);
      if (through.length === 0) return [];
      const known = through.flatMap(({ effect }) => (effect === null ? [] : [effect]));
      const effect = known.length === 0 ? null : known.reduce((a, b) => a + b, 0);
      const size = known.reduce((sum, value) => sum + Math.abs(value), 0);
      return [{ x, from, to, effect, size }];
    });
  });
}

function Trunks({ theme, layout }: DrawingProps): VNode {
  return (
    <g {...unspoken}>
      {stretches(layout).map(({ x, from, to, effect, size }) => {
        const { stroke, dash } = lineOf(theme, effect);
        const width = effect === null || layout.largest === 0 ? 1.25 : 1 + 5 * Math.min(1.2, size / layout.largest);
        return (
          <line
            key={`${x} ${from}`}
            x1={x}
            x2={x}
            y1={from}
            y2={to}
            stroke={stroke}
            stroke-width={width}
            stroke-dasharray={dash}
          />
        );
      })}
    </g>
  );
}

function Branch({ theme, wire, quiet }: { theme: Theme; wire: Wire; quiet: boolean }): VNode | null {
  const { branch, trunk, channel } = wire;
  const { stroke, dash } = lineOf(theme, wire.effect);
  const into = branch ? Math.sign(branch.to - branch.from) : 0;
  const hit = branch
    ? { x1: branch.from, x2: branch.to, y1: branch.y, y2: branch.y }
    : trunk
      ? { x1: trunk.x, x2: trunk.x, y1: trunk.from, y2: trunk.to }
      : null;
  if (hit === null) return null;
  const label = channel === 'q' || channel === 'k' || channel === 'v' ? channel : '';
  const at = branch ? { x: branch.to - into * 16, y: branch.y - 4 } : { x: hit.x1 + 7, y: hit.y2 + 9 };
  const tip = branch && (branch.down === null ? `l${-into * 7} -4v8z` : 'l-4 -6h8z');
  return (
    <g data-wire={wire.id} opacity={quiet ? 0.35 : 1}>
      {branch ? (
        <>
          <path
            d={`M${branch.from} ${branch.y}H${branch.to}${branch.down === null ? '' : `V${branch.down - 2}`}`}
            fill="none"
            stroke={stroke}
            stroke-width={wire.stroke}
            stroke-dasharray={dash}
          />
          <path d={`M${branch.to} ${branch.down ?? branch.y}${tip}`} fill={stroke} />
        </>
      ) : null}
      <line {...hit} stroke="transparent" stroke-width={10} />
      {label === '' ? null : (
        <text
          x={at.x}
          y={at.y}
          text-anchor="middle"
          font-family={theme.uiFont}
          font-size={10}
          fill={theme.palette.secondary}
          {...unspoken}
        >
          {label}
        </text>
      )}
    </g>
  );
}

interface BoxProps {
  readonly theme: Theme;
  readonly box: DiagramBox;
  readonly roles: readonly string[];
  readonly selected: boolean;
}

/** One node: its role's bar; a second box behind it for several in one. */
export function BoxShape({ theme, box, roles, selected }: BoxProps): VNode {
  const { palette } = theme;
  const role = box.role === null ? -1 : roles.indexOf(box.role);
  const fill = selected && !isHighContrast(palette) ? palette.selection : palette.background;
  const border = selected ? palette.focus : palette.secondary;
  const rect = { x: box.x, y: box.y, width: boxWidth, height: boxHeight };
  return (
    <>
      {box.members.length > 1 ? (
        <rect {...rect} x={box.x + 3} y={box.y - 3} fill={palette.background} stroke={border} opacity={0.7} />
      ) : null}
      <rect {...rect} fill={fill} stroke={border} stroke-width={selected ? 2 : 1} />
      {role >= 0 ? <RoleBar theme={theme} index={role} x={box.x} y={box.y} height={boxHeight} /> : null}
    </>
  );
}

/** What is written in a box. Beside it in the tree, not in it: the box's name says the same in words. */
export function BoxText({ theme, box, selected }: Omit<BoxProps, 'roles'>): VNode {
  const { palette } = theme;
  return (
    <text
      x={box.x + boxWidth / 2 + 2}
      y={box.y + 14.5}
      text-anchor="middle"
      font-family={theme.uiFont}
      font-size={11}
      fill={selected ? palette.selectionText : palette.foreground}
      {...unspoken}
    >
      {fitText(box.label, boxWidth - 8, 11)}
    </text>
  );
}

function Logits({ theme, layout, logitsLabel }: DrawingProps): VNode {
  const { palette } = theme;
  const label = fitText(logitsLabel, 150, 11);
  const width = Math.max(boxWidth, label.length * 6.4 + 14);
  const x = Math.min(layout.logits.x - width / 2, layout.width - width - 4);
  return (
    <g {...unspoken}>
      <rect
        x={x}
        y={layout.logits.y - boxHeight / 2}
        width={width}
        height={boxHeight}
        fill={palette.background}
        stroke={palette.foreground}
      />
      <text
        x={x + width / 2}
        y={layout.logits.y + 4}
        text-anchor="middle"
        font-family={theme.uiFont}
        font-size={11}
        fill={palette.foreground}
      >
        {label}
      </text>
    </g>
  );
}

/** Everything but the boxes, which the panel makes reachable and the export only draws. */
export function DiagramGround(props: DrawingProps & { readonly children?: ComponentChildren }): VNode {
  const { layout, selected } = props;
  const many = layout.wires.length > 12;
  const touches = ({ from, to }: Wire): boolean => from === selected || to === selected;
  const emphasis = many && selected !== null && layout.wires.some(touches);
  return (
    <>
      <Axes {...props} />
      <Trunks {...props} />
      {layout.wires.map((wire) => (
        <Branch key={wire.id} theme={props.theme} wire={wire} quiet={emphasis && !touches(wire)} />
      ))}
      <Logits {...props} />
      {props.children}
    </>
  );
}
