import type { VNode } from 'preact';
import type { NormCard } from '../../shared/couplingPicture.ts';
import { share } from '../../shared/format.ts';
import { AxisName, linearScale, type Plot, type Scale } from '../charts/Axis.tsx';
import type { ChartDrawing, ChartMark } from '../charts/chartMark.ts';
import { numberWidth } from '../figures/text.ts';
import type { Theme } from '../figures/theme.ts';
import { degrees } from './couplingText.ts';

const left = 14;
const lineHeight = 17;
const labelLines = 4;
const curveHeight = 44;

/** One angle of the card, on a line of text of its own. */
interface Angle {
  readonly id: 'expected' | 'bound' | 'boundary' | 'prompt';
  readonly value: number;
  readonly words: string;
  readonly rho: number | null;
}

/** Rounded to nothing it is said to be small. */
const rhoText = (rho: number): string => (Math.abs(rho) < 0.001 ? '|ρ| < .001' : `ρ = ${share(rho)}`);

/** `at this prompt 17.5°, ρ = .30` */
const labelOf = ({ words, value, rho }: Angle): string =>
  [`${words} ${degrees(value)}`, ...(rho === null ? [] : [rhoText(rho)])].join(', ');

/** True for the observable's own, read out at first. */
const isOwn = ({ id }: Angle): boolean => id === 'boundary' || id === 'prompt';

function anglesOf({ expected, bound, boundary, prompt }: NormCard): Angle[] {
  const at = (id: Angle['id'], value: number | undefined, words: string, rho: number | null = null) =>
    value === undefined || !Number.isFinite(value) ? [] : [{ id, value, words, rho }];
  return [
    ...at('expected', expected, 'expected'),
    ...at('bound', bound ?? undefined, 'theorem bound'),
    ...at('boundary', boundary?.angle, 'at the boundary', boundary?.rho ?? null),
    ...at('prompt', prompt?.angle, 'at this prompt', prompt?.rho ?? null),
  ];
}

/** Where an angle's text stands beside its line: at the right where there is room. */
interface PlacedAngle extends Angle {
  readonly at: number;
  readonly right: boolean;
  readonly y: number;
}

/**
 * A line of text for each angle. Lines begin at their own texts, so that in this order few cross another's text: from the top those at
 * the left of their lines, from the right inwards, then the others from the left.
 */
function placed(angles: readonly Angle[], { plot, x }: Frame): readonly PlacedAngle[] {
  const sided = angles.map((angle) => {
    const at = x.of(angle.value);
    return { ...angle, at, right: at + 7 + numberWidth(labelOf(angle), 11) <= plot.right };
  });
  sided.sort((a, b) => Number(a.right) - Number(b.right) || (a.right ? a.at - b.at : b.at - a.at));
  return sided.map((angle, line) => ({ ...angle, y: plot.top + 11 + line * lineHeight }));
}

interface Frame {
  readonly theme: Theme;
  readonly plot: Plot;
  readonly x: Scale;
}

function colorOf({ palette }: Theme, id: Angle['id']): string {
  if (id === 'prompt') return palette.category2;
  if (id === 'boundary') return palette.sequential;
  return id === 'expected' ? palette.foreground : palette.secondary;
}

/** The angles of random observables as a grey hill. */
function Hill({ frame, density }: { frame: Frame; density: NormCard['density'] }): VNode | null {
  const { theme, plot, x } = frame;
  const most = Math.max(0, ...density.map(([, value]) => value).filter(Number.isFinite));
  if (most === 0) return null;
  const top = plot.bottom - curveHeight;
  const points = density
    .filter((point) => point.every(Number.isFinite))
    .map(([at, value]) => `${x.of(at).toFixed(1)} ${(plot.bottom - (value / most) * (plot.bottom - top)).toFixed(1)}`);
  const [first, last] = [density[0][0], density[density.length - 1][0]];
  const d = `M${x.of(first).toFixed(1)} ${plot.bottom}L${points.join('L')}L${x.of(last).toFixed(1)} ${plot.bottom}z`;
  return <path d={d} fill={theme.palette.secondary} opacity={0.5} />;
}

/** An angle as a line; those of the observable itself end in a dot. */
function AngleLine({ frame, angle }: { frame: Frame; angle: PlacedAngle }): VNode {
  const { theme, plot } = frame;
  const { at, y } = angle;
  const color = colorOf(theme, angle.id);
  return (
    <g stroke={color}>
      <line
        x1={at}
        x2={at}
        y1={y - 9}
        y2={plot.bottom}
        stroke-width={angle.id === 'expected' ? 1.75 : 1}
        stroke-dasharray={angle.id === 'bound' ? '3 2' : undefined}
      />
      {isOwn(angle) && (
        <circle
          cx={at}
          cy={plot.bottom}
          r={4.5}
          fill={angle.id === 'prompt' ? color : theme.palette.background}
          stroke-width={1.75}
        />
      )}
    </g>
  );
}

function AngleText({ frame, angle }: { frame: Frame; angle: PlacedAngle }): VNode {
  const { theme } = frame;
  const { at, y, right } = angle;
  return (
    <text
      x={right ? at + 7 : at - 7}
      y={y}
      text-anchor={right ? 'start' : 'end'}
      font-family={theme.uiFont}
      font-size={11}
      fill={colorOf(theme, angle.id)}
      stroke={theme.palette.background}
      stroke-width={3}
      paint-order="stroke"
    >
      {labelOf(angle)}
    </text>
  );
}

function marksOf(angles: readonly PlacedAngle[], { plot }: Frame): ChartMark[] {
  const marks = angles.map((angle): ChartMark => {
    const { id, value, words, at, y, rho } = angle;
    const box = { x: at - 5, y: plot.bottom - 5, width: 10, height: 10 };
    return {
      id,
      series: isOwn(angle) ? 0 : 1,
      x: at,
      y: y - 11,
      box,
      name: words,
      value,
      said: degrees(value),
      note: rho === null ? '' : rhoText(rho),
    };
  });
  return marks.sort((a, b) => a.series - b.series || a.x - b.x);
}

/** The angle between an observable and its pull-back through the final norm, over that of random observables. */
export function normDrawing(theme: Theme, card: NormCard, width: number): ChartDrawing {
  const all = anglesOf(card);
  const plot: Plot = { left, right: width - 14, top: 2, bottom: 2 + labelLines * lineHeight + 8 + curveHeight };
  const ends = [0, ...all.map(({ value }) => value * 1.05), card.expected * 4];
  const wanted = Math.max(3, Math.floor(width / 110));
  const x = linearScale(ends, { start: plot.left, end: plot.right, unit: 'degrees', wanted });
  const frame: Frame = { theme, plot, x };
  const angles = placed(all, frame);
  const last = x.ticks[x.ticks.length - 1];
  const content = (
    <g>
      <Hill frame={frame} density={card.density.filter(([at]) => at <= last)} />
      <line x1={plot.left} x2={plot.right} y1={plot.bottom} y2={plot.bottom} stroke={theme.palette.secondary} />
      <g font-family={theme.uiFont} font-size={11} fill={theme.palette.secondary} text-anchor="middle">
        {x.ticks.map((tick) => (
          <text key={tick} x={x.of(tick)} y={plot.bottom + 18}>{`${tick}°`}</text>
        ))}
      </g>
      {angles.map((angle) => (
        <AngleLine key={angle.id} frame={frame} angle={angle} />
      ))}
      {angles.map((angle) => (
        <AngleText key={angle.id} frame={frame} angle={angle} />
      ))}
      <AxisName
        theme={theme}
        x={(plot.left + plot.right) / 2}
        y={plot.bottom + 34}
        text="angle between W_U n and its pull-back through the norm"
      />
    </g>
  );
  return { width, height: plot.bottom + 40, content, marks: marksOf(angles, frame) };
}
