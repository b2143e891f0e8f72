import { count } from '../../shared/format.ts';
import { valueInWords } from './MatrixDrawing.tsx';
import { type CellAt, cellAt, cellsBySize, type MatrixModel } from './matrixModel.ts';

/** `L21.H4` tab `0.3821` : name and full-precision number, for pasting into a sheet. */
export function copyOfCell(model: MatrixModel, at: CellAt): string {
  const cell = cellAt(model, at);
  return cell === undefined ? '' : `${cell.name}\t${cell.value ?? ''}`;
}

/** A whole row, one cell a line. */
export function copyOfRow(model: MatrixModel, at: CellAt): string {
  return (model.rows[at.row]?.cells ?? [])
    .flatMap((cell, col) => (cell === undefined ? [] : [copyOfCell(model, { row: at.row, col })]))
    .join('\n');
}

/** One sentence for a screen reader: how many, how many are missing, the largest. */
export function describeMatrix(model: MatrixModel): string {
  const order = cellsBySize(model);
  const cells = order.flatMap((at) => cellAt(model, at) ?? []);
  const missing = cells.filter(({ value }) => value === null).length;
  const broken = cells.filter(({ value }) => value !== null && !Number.isFinite(value)).length;
  const [largest] = cells;
  const parts = [`${count(cells.length)} values`];
  if (missing > 0) parts.push(`${count(missing)} not run yet`);
  if (broken > 0) parts.push(`${count(broken)} not a number`);
  if (largest && largest.value !== null && Number.isFinite(largest.value))
    parts.push(`largest: ${largest.spoken}, ${valueInWords(model, largest)}`);
  return `${parts.join('; ')}. Press question mark for the keys.`;
}
