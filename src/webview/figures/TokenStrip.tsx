import type { VNode } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { divergingColor, divergingPosition, textOn } from '../../shared/color.ts';
import { share, signed, signedFixed } from '../../shared/format.ts';
import { isHighContrast } from '../../shared/palette.ts';
import { fitToken, monoWidth, numberWidth, spokenToken } from './text.ts';
import type { Theme } from './theme.ts';
import { unspoken } from './unspoken.ts';

export interface StripToken {
  readonly position: number;
  readonly text: string;
  readonly value: number;
}

export interface StripNext {
  readonly text: string;
  readonly p: number;
}

interface Placed {
  readonly x: number;
  readonly y: number;
  readonly width: number;
}

export interface StripLayout {
  readonly tokens: readonly Placed[];
  readonly next: readonly Placed[];
  readonly arrow: Placed | null;
  readonly height: number;
}

const tokenSize = 13;
const boxHeight = 22;
const lineHeight = 44;
const maxCharacters = 24;

/** Lays tokens on lines like text, the next-token distribution after the last one; pure, so that exports agree. */
export function layoutStrip(tokens: readonly StripToken[], next: readonly StripNext[], width: number): StripLayout {
  let x = 0;
  let y = 0;
  const place = (needed: number, gap: number): Placed => {
    if (x > 0 && x + needed > width) {
      x = 0;
      y += lineHeight;
    }
    const at = { x, y, width: needed };
    x += needed + gap;
    return at;
  };
  const placed = tokens.map(({ text, value }) => {
    const shown = fitToken(text, width - 12, tokenSize, maxCharacters);
    const needed = Math.max(monoWidth(shown, tokenSize) + 12, numberWidth(signedFixed(value), 11) + 8, 28);
    return place(Math.min(width, Math.ceil(needed)), 2);
  });
  x += 8;
  const arrow = next.length > 0 ? place(16, 0) : null;
  const lastTokenLine = y;
  const shares = next.map(({ text, p }) =>
    place(Math.ceil(monoWidth(`${fitToken(text, width, 12, 16)} ${share(p)}`, 12)), 12),
  );
  return { tokens: placed, next: shares, arrow, height: y + (y > lastTokenLine ? boxHeight : lineHeight) };
}

/** Px right of the last token's number, under the next tokens; 0 where those take a line of their own. */
export function roomBesideNumbers({ tokens, next, arrow }: StripLayout, width: number): number {
  const last = tokens.at(-1);
  if (!last || [arrow, ...next].some((place) => place !== null && place.y > last.y)) return 0;
  return width - last.x - last.width;
}

interface StripProps {
  readonly theme: Theme;
  readonly tokens: readonly StripToken[];
  readonly next: readonly StripNext[];
  readonly max: number;
  readonly selected: number | null;
  readonly width: number;
  readonly total: number;
  /** Undefined in an export: no roles, no tab stop. */
  readonly onSelect?: (position: number) => void;
}

function Underline({ theme, at, t }: { theme: Theme; at: Placed; t: number }): VNode | null {
  if (Math.abs(t) < 0.02) return null;
  const y = at.y + boxHeight - 3;
  const dash = t < 0 ? { 'stroke-dasharray': '4 3' } : {};
  const weight = 1 + Math.round(2 * Math.abs(t));
  const stroke = theme.palette.foreground;
  return <line x1={at.x + 4} x2={at.x + at.width - 4} y1={y} y2={y} stroke={stroke} stroke-width={weight} {...dash} />;
}

interface BoxProps {
  readonly theme: Theme;
  readonly token: StripToken;
  readonly at: Placed;
  readonly max: number;
  readonly chosen: boolean;
}

function TokenBox({ theme, token, at, max, chosen }: BoxProps): VNode {
  const { palette } = theme;
  const fill = divergingColor(palette, token.value, max);
  return (
    <>
      <rect
        x={at.x + 1}
        y={at.y + 1}
        width={at.width - 2}
        height={boxHeight - 2}
        fill={fill}
        stroke={chosen ? palette.focus : palette.tableRule}
        stroke-width={chosen ? 2 : 1}
      />
      {isHighContrast(palette) && <Underline theme={theme} at={at} t={divergingPosition(token.value, max)} />}
    </>
  );
}

/** Token and number; beside the option in the tree, whose name says the same in words. */
function TokenText({ theme, token, at, max, chosen }: BoxProps): VNode {
  const { palette } = theme;
  const fill = divergingColor(palette, token.value, max);
  const middle = at.x + at.width / 2;
  return (
    <g {...unspoken}>
      <text
        x={middle}
        y={at.y + 15.5}
        text-anchor="middle"
        font-family={theme.codeFont}
        font-size={tokenSize}
        fill={textOn(palette, fill)}
      >
        {fitToken(token.text, at.width - 11, tokenSize, maxCharacters)}
      </text>
      <text
        x={middle}
        y={at.y + boxHeight + 13}
        text-anchor="middle"
        font-family={theme.uiFont}
        font-size={11}
        font-weight={chosen ? 600 : 400}
        fill={chosen ? palette.foreground : palette.secondary}
      >
        {signedFixed(token.value)}
      </text>
    </g>
  );
}

function NextTokens({
  theme,
  next,
  layout,
  still,
}: {
  theme: Theme;
  next: readonly StripNext[];
  layout: StripLayout;
  still: boolean;
}): VNode | null {
  if (layout.arrow === null) return null;
  const { palette, codeFont } = theme;
  const name = `Next token: ${next.map(({ text, p }) => `${spokenToken(text)} ${share(p)}`).join(', ')}`;
  return (
    <g {...(still ? {} : { role: 'img', 'aria-label': name })} font-family={codeFont} font-size={12}>
      <text x={layout.arrow.x} y={layout.arrow.y + 15} fill={palette.secondary}>
        →
      </text>
      {next.map(({ text, p }, i) => (
        <text
          key={i}
          x={layout.next[i].x}
          y={layout.next[i].y + 15}
          fill={i === 0 ? palette.foreground : palette.secondary}
        >
          {fitToken(text, 400, 12, 16)} {share(p)}
        </text>
      ))}
    </g>
  );
}

interface OptionProps {
  readonly box: BoxProps;
  readonly tabbable: boolean;
  readonly total: number;
  readonly onSelect: ((position: number) => void) | undefined;
}

function StripOption({ box, tabbable, total, onSelect }: OptionProps): VNode {
  const { token, at, theme, chosen } = box;
  if (onSelect === undefined) return <TokenBox {...box} />;
  const value = `${signed(token.value)} logits`;
  return (
    <g
      role="option"
      aria-selected={chosen}
      aria-label={`${spokenToken(token.text)}, position ${token.position + 1} of ${total}, ${value}`}
      tabindex={tabbable ? 0 : -1}
      onClick={() => onSelect(token.position)}
    >
      <TokenBox {...box} />
      <rect
        class="m-ring"
        x={at.x - 1}
        y={at.y - 1}
        width={at.width + 2}
        height={boxHeight + 2}
        fill="none"
        stroke={theme.palette.focus}
        stroke-width={2}
      />
    </g>
  );
}

/** Index of the token that a key leads to, or null. `n` and `p` go by size. */
export function stripKey(key: string, at: number, tokens: readonly StripToken[]): number | null {
  const last = tokens.length - 1;
  if (last < 0) return null;
  if (key === 'ArrowRight' || key === 'ArrowDown') return Math.min(last, at + 1);
  if (key === 'ArrowLeft' || key === 'ArrowUp') return Math.max(0, at - 1);
  if (key === 'Home') return 0;
  if (key === 'End') return last;
  if (key !== 'n' && key !== 'p') return null;
  const order = tokens.map((_, i) => i).sort((a, b) => Math.abs(tokens[b].value) - Math.abs(tokens[a].value));
  const rank = order.indexOf(at) + (key === 'n' ? 1 : -1);
  return order[Math.min(last, Math.max(0, rank))];
}

/** The prompt, token by token: tint and number under each, next-token distribution at the end. One tab stop. */
export function TokenStrip(props: StripProps): VNode {
  const { theme, tokens, next, selected, width, onSelect, total } = props;
  const layout = layoutStrip(tokens, next, width);
  const host = useRef<SVGSVGElement>(null);
  const byKey = useRef(false);
  const at = Math.max(
    0,
    tokens.findIndex(({ position }) => position === selected),
  );
  useEffect(() => {
    if (!byKey.current) return;
    byKey.current = false;
    host.current?.querySelector<SVGElement>('[tabindex="0"]')?.focus();
  });
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const to = stripKey(event.key, at, tokens);
    if (to === null) return;
    event.preventDefault();
    event.stopPropagation();
    byKey.current = true;
    onSelect?.(tokens[to].position);
  };
  const boxes = tokens.map(
    (token, i): BoxProps => ({
      theme,
      token,
      at: layout.tokens[i],
      max: props.max,
      chosen: token.position === selected,
    }),
  );
  const still = onSelect === undefined;
  const role = still
    ? {}
    : { role: 'listbox' as const, 'aria-label': 'Tokens', 'aria-orientation': 'horizontal' as const, onKeyDown };
  return (
    <svg ref={host} role="presentation" class="m-strip" width={width} height={layout.height}>
      <g {...role}>
        {tokens.map((token, i) => (
          <StripOption key={token.position} box={boxes[i]} tabbable={i === at} total={total} onSelect={onSelect} />
        ))}
      </g>
      {boxes.map((box) => (
        <TokenText key={box.token.position} {...box} />
      ))}
      <NextTokens theme={theme} next={next} layout={layout} still={still} />
    </svg>
  );
}
