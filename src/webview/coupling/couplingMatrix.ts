import { type CouplingMeasure, type CouplingPicture, differsOnCorpus } from '../../shared/couplingPicture.ts';
import { type Beyond, beyondScale, scaleMax } from '../../shared/scale.ts';
import { tiltedHeight, tiltedOverhang } from '../figures/MatrixHeads.tsx';
import type { MatrixCell, MatrixModel } from '../figures/matrixModel.ts';
import { numberWidth, spokenToken } from '../figures/text.ts';
import { type CouplingGrouping, namesIn, type Pair, pairId, shownOrder } from './couplingOrder.ts';
import { measureNames, measureTitles, otherNumbers } from './couplingText.ts';

/** What of a coupling's matrix is shown, and in how much room. */
export interface CouplingShown {
  readonly measure: CouplingMeasure;
  readonly grouping: CouplingGrouping;
  /** Px; the matrix scrolls in itself where its cells would be under 24 px. */
  readonly width: number;
}

/** Numbers off the diagonal, as far as they are there. */
function offDiagonal(matrix: CouplingPicture['values'][CouplingMeasure]): number[] {
  return matrix.flatMap((row, r) => row.filter((value, c): value is number => value !== null && c !== r));
}

/** End of the scale: 1 for cosines, else one for all three coefficients, so that switching compares. */
function couplingMax({ values }: CouplingPicture, measure: CouplingMeasure): number {
  if (measure === 'cos') return 1;
  return scaleMax([values.C, values.CS, values.slope].flatMap(offDiagonal));
}

const groupGap = 9;

/** At which ends numbers off the diagonal lie beyond the scale. */
export function couplingBeyond({ rows, max }: MatrixModel): Beyond {
  const values = rows.flatMap(({ cells }) => cells.flatMap((cell) => (cell && !cell.bare ? [cell.value ?? 0] : [])));
  return beyondScale(values, max);
}

function cellOf(picture: CouplingPicture, pair: Pair, measure: CouplingMeasure): MatrixCell {
  const { row, column } = pair;
  const [from, to] = [picture.features[row], picture.features[column]];
  const value = picture.values[measure][row]?.[column] ?? null;
  const diagonal = row === column && value !== null && Number.isFinite(value);
  const note = row === column ? '' : otherNumbers(picture, pair, measure);
  const flagged = differsOnCorpus(picture, row, column);
  return {
    id: pairId(pair),
    value,
    name: `${from.observable} ${from.node} → ${to.observable} ${to.node}`,
    spoken: `${spokenToken(from.observable)} at ${from.node} to ${spokenToken(to.observable)} at ${to.node}`,
    ...(note !== '' && { note }),
    ...(diagonal && { bare: true, text: '1' }),
    ...(flagged && { flagged }),
  };
}

/** The room that the matrix, its names and its cells take, px. */
export function couplingSize(picture: CouplingPicture, { grouping, width }: Omit<CouplingShown, 'measure'>) {
  const order = shownOrder(picture, grouping);
  const names = order.map((i) => namesIn(grouping, picture.features[i]));
  const longestOwn = Math.max(0, ...names.map(([, own]) => numberWidth(own, 11)));
  const longestGroup = Math.max(0, ...names.map(([group]) => numberWidth(group, 11) * 1.06));
  const narrow = width < 560;
  const groupWidth = narrow ? 0 : Math.ceil(Math.min(130, longestGroup + 14));
  const labelWidth = groupWidth + Math.ceil(Math.min(120, longestOwn)) + 12;
  const groups = new Set(names.map(([group]) => group)).size;
  const head = Math.min(110, longestOwn);
  const room = width - labelWidth - tiltedOverhang(head) - groupGap * (groups - 1) - 8;
  const cell = Math.floor(Math.min(order.length > 8 ? 44 : 60, Math.max(24, room / Math.max(1, order.length))));
  // Cells of 30 px hold `+1.13`.
  return { order, names, narrow, groupWidth, labelWidth, head, cell, numbersFit: order.length > 0 && cell >= 30 };
}

/** The picture as a matrix of features by features, groups apart, names on both sides. */
export function couplingMatrix(picture: CouplingPicture, shown: CouplingShown): MatrixModel {
  const { measure } = shown;
  const { order, names, narrow, groupWidth, labelWidth, head, cell } = couplingSize(picture, shown);
  const gapBefore = (i: number): boolean => i > 0 && names[i][0] !== names[i - 1][0];
  const firstOf = (i: number): boolean => i === 0 || gapBefore(i);
  const rowGap = (i: number): number => (narrow ? (firstOf(i) ? 20 : 0) : gapBefore(i) ? groupGap : 0);
  return {
    id: `coupling-${picture.id.replace(/\W+/g, '-')}`,
    title: measureTitles[measure],
    unit: '',
    measure: measureNames[measure],
    scale: 'diverging',
    max: couplingMax(picture, measure),
    columns: names.map(([group, label], c) => ({
      ...{ label, group, kind: 'cell' as const, width: cell, gap: gapBefore(c) ? groupGap : 0 },
    })),
    rows: order.map((row, r) => ({
      ...{ id: `r${row}`, label: names[r][1], group: names[r][0], gap: rowGap(r) },
      cells: order.map((column) => cellOf(picture, { row, column }, measure)),
    })),
    rowHeight: Math.max(24, Math.min(40, Math.round(cell * 0.7))),
    headHeight: tiltedHeight(head),
    labelWidth,
    groupWidth,
    overhang: tiltedOverhang(head),
  };
}
