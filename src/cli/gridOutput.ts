import { count, signed } from '../shared/format.ts';
import { baseline, gridEffects } from '../shared/gridCells.ts';
import type { GridDocument } from '../shared/gridDocument.ts';
import { table } from './table.ts';

/** Largest cells in the table for people. */
const SHOWN_CELLS = 12;

/** `[row][column][item]` */
function nested({ byItem }: GridDocument): (number | null)[][][] {
  const [rows, columns, items] = byItem.dims;
  const at = (row: number, column: number) => (row * columns + column) * items;
  const cell = (from: number) =>
    Array.from(byItem.data.subarray(from, from + items), (value) => (Number.isNaN(value) ? null : value));
  return Array.from({ length: rows }, (_, row) =>
    Array.from({ length: columns }, (__, column) => cell(at(row, column))),
  );
}

/** The object that `--json` prints: `values[row][column]` is the metric after the intervention, mean over the prompts. */
export function gridJson(document: GridDocument) {
  const { clean, corrupted } = document;
  return {
    analysis: document.analysis,
    method: document.method,
    clean: clean.mean,
    corrupted: corrupted === null ? null : corrupted.mean,
    values: document.values,
    axes: document.axes,
    metric: document.metric,
    intervention: document.intervention,
    complete: document.complete,
    exact: document.exact,
    byItem: nested(document),
    cleanSummary: clean,
    corruptedSummary: corrupted,
    items: document.items,
    screening: document.screening ?? null,
    cost: document.cost,
    warnings: document.warnings,
    provenance: document.provenance,
  };
}

function runText(name: string, { mean, se, n }: GridDocument['clean'], unit: string): string {
  const spread = se === null ? '' : ` ± ${se.toPrecision(2)} (standard error)`;
  return `${name} ${signed(mean)} ${unit}${spread}, ${n === 1 ? '1 prompt' : `${count(n)} prompts`}`;
}

/** The same as a table for people: the largest effects. */
export function gridText(document: GridDocument): string {
  const { provenance, metric, axes, clean, corrupted, values, exact } = document;
  const cells = gridEffects(document).flatMap((line, row) =>
    line.flatMap((effect, column) => (effect === null ? [] : [{ row, column, effect }])),
  );
  cells.sort((a, b) => Math.abs(b.effect) - Math.abs(a.effect));
  const rows = cells
    .slice(0, SHOWN_CELLS)
    .map(({ row, column, effect }) => [
      `${axes.rows.labels[row]}.${axes.columns.labels[column]}`,
      signed(values[row]?.[column] ?? Number.NaN),
      signed(effect),
      exact[row]?.[column] ? '' : 'estimate',
    ]);
  const total = axes.rows.labels.length * axes.columns.labels.length;
  const left = total - cells.length;
  return [
    metric.label,
    `${provenance.modelLabel} · ${document.intervention} · ${document.method} · #${provenance.hash}`,
    runText('clean', clean, metric.unit),
    ...(corrupted === null ? [] : [runText('corrupted', corrupted, metric.unit)]),
    '',
    table(
      [
        { title: `${axes.rows.name}.${axes.columns.name}`, align: 'left' },
        { title: metric.unit, align: 'right' },
        { title: `minus ${baseline(document)}`, align: 'right' },
        { title: '', align: 'left' },
      ],
      rows,
    ),
    '',
    `${count(Math.max(0, cells.length - SHOWN_CELLS))} smaller of ${count(total)} cells; --json has all.${left > 0 ? ` ${count(left)} not run.` : ''}`,
    '',
  ].join('\n');
}
