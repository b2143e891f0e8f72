import { visibleToken } from '../../shared/format.ts';
import { baseline, cellItems, gridDifference, gridEffects } from '../../shared/gridCells.ts';
import type { GridDocument } from '../../shared/gridDocument.ts';
import type { GridCompared, GridPlace } from '../../shared/gridPanelProtocol.ts';
import type { TableColumn, TableModel, TableValue } from '../figures/DataTable.tsx';
import { cellNoun, columnLabel, placeName, rowLabel } from './gridNames.ts';
import { effectSummary, hasIntervals, largestCells, mostChanged, shareLowered } from './gridNumbers.ts';
import { afterWord, answerOf, promptEnd } from './gridText.ts';

/** Every cell with every number. */
export function cellsTable(document: GridDocument, compared: GridCompared | null): TableModel {
  const { unit, label } = document.metric;
  const effects = gridEffects(document);
  const difference = compared ? gridDifference(document, compared.document) : null;
  const intervals = hasIntervals(document);
  const after = afterWord(document);
  const rows = document.values.flatMap((row, r) =>
    row.map((value, c): TableValue[] => {
      const summary = intervals && value !== null ? effectSummary(document, { row: r, column: c }) : null;
      return [
        placeName(document, { row: r, column: c }),
        rowLabel(document, r),
        columnLabel(document, c),
        value,
        effects[r][c],
        effects[r][c],
        ...(intervals ? [summary?.interval?.low ?? null, summary?.interval?.high ?? null] : []),
        value === null ? 'not run' : document.exact[r]?.[c] ? 'exact' : 'first order',
        ...(difference?.kind === 'difference' ? [difference.values[r]?.[c] ?? null] : []),
      ];
    }),
  );
  const columns: TableColumn[] = [
    { id: 'cell', label: cellNoun(document, 1), kind: 'text' },
    { id: document.axes.rows.name, label: document.axes.rows.name, kind: 'text', drop: 3 },
    { id: document.axes.columns.name, label: document.axes.columns.name, kind: 'text', drop: 3 },
    { id: 'value', label: `${after}, ${unit}`, kind: 'number', drop: 1 },
    { id: 'effect', label: 'change', kind: 'number' },
    { id: 'bar', label: '', kind: 'bar', drop: 1 },
    ...(intervals
      ? ([
          { id: 'low', label: '95 % low', kind: 'number', drop: 2 },
          { id: 'high', label: '95 % high', kind: 'number', drop: 2 },
        ] as const)
      : []),
    { id: 'run', label: 'run', kind: 'text', drop: 2 },
    ...(difference?.kind === 'difference'
      ? [{ id: 'difference', label: 'this − other', kind: 'number' } as const]
      : []),
  ];
  const caption = `${label}, ${after} − ${baseline(document)}, ${unit}; n = ${document.items.length}${intervals ? '; 95 % bootstrap of the change' : ''}`;
  return { id: 'cells', caption, columns, rows };
}

/** The items of one cell, in their order. */
export function itemsTable(document: GridDocument, place: GridPlace): TableModel {
  const after = cellItems(document, place.row, place.column);
  const rows = document.items.map((item, i): TableValue[] => [
    i + 1,
    item.id,
    item.prompt,
    item.answer,
    item.foils.join(' | '),
    document.clean.byItem[i] ?? null,
    ...(document.corrupted ? [document.corrupted.byItem[i] ?? null] : []),
    after[i] ?? null,
  ]);
  return {
    id: 'prompts',
    caption: `${placeName(document, place)} by prompt, ${document.metric.unit}`,
    columns: [
      { id: 'n', label: 'prompt', kind: 'text' },
      { id: 'id', label: 'id', kind: 'text', drop: 3 },
      { id: 'prompt', label: 'text', kind: 'token' },
      { id: 'answer', label: 'answer', kind: 'token' },
      { id: 'foils', label: 'foils', kind: 'token', drop: 2 },
      { id: 'clean', label: 'clean', kind: 'number' },
      ...(document.corrupted ? [{ id: 'corrupted', label: 'corrupted', kind: 'number' } as const] : []),
      { id: 'after', label: afterWord(document), kind: 'number' },
    ],
    rows,
  };
}

/** The items that a cell changes most. */
export function changedTable(
  document: GridDocument,
  place: GridPlace,
  letters = 46,
  top = 5,
): { table: TableModel; items: number[] } {
  const changed = mostChanged(document, place).slice(0, top);
  const rows = changed.map(({ item, before, after }): TableValue[] => {
    const { prompt } = document.items[item];
    return [item + 1, promptEnd(prompt, letters), visibleToken(document.items[item].answer), before, after];
  });
  return {
    items: changed.map(({ item }) => item),
    table: {
      id: 'changed',
      caption: 'most changed prompts',
      columns: [
        { id: 'n', label: 'no.', kind: 'text' },
        { id: 'prompt', label: 'prompt', kind: 'token' },
        { id: 'answer', label: 'answer', kind: 'token', drop: 1 },
        { id: 'before', label: baseline(document), kind: 'number' },
        { id: 'after', label: afterWord(document), kind: 'number' },
      ],
      rows,
    },
  };
}

/** The cells with the largest change. */
export function largestTable(
  document: GridDocument,
  compared: GridCompared | null,
  item: number,
  top = 6,
): { table: TableModel; places: GridPlace[] } {
  const places = largestCells(document).slice(0, top);
  const other =
    compared && gridDifference(document, compared.document).kind === 'difference'
      ? gridEffects(compared.document)
      : null;
  const several = document.items.length > 1;
  const rows = places.map(({ row, column, effect }): TableValue[] => {
    const interval = hasIntervals(document) ? effectSummary(document, { row, column })?.interval : null;
    return [
      placeName(document, { row, column }, item),
      effect,
      effect,
      ...(other ? [other[row][column]] : []),
      ...(several ? [interval?.low ?? null, interval?.high ?? null, shareLowered(document, { row, column })] : []),
    ];
  });
  return {
    places,
    table: {
      id: 'largest',
      caption: document.complete ? 'Largest' : 'Largest so far',
      columns: [
        { id: 'cell', label: cellNoun(document, 1), kind: 'text' },
        { id: 'effect', label: `change, ${document.metric.unit}`, kind: 'number' },
        { id: 'bar', label: '', kind: 'bar', drop: 1 },
        ...(other ? [{ id: 'other', label: 'other', kind: 'number' } as const] : []),
        ...(several
          ? ([
              { id: 'low', label: '95 % low', kind: 'number', drop: 2 },
              { id: 'high', label: '95 % high', kind: 'number', drop: 2 },
              { id: 'lowered', label: 'prompts lowered', kind: 'percent', drop: 1 },
            ] as const)
          : []),
      ],
      rows,
    },
  };
}

/** What an item asks, in a line: for the list of prompts. */
export function itemLine(document: GridDocument, item: number): string {
  const found = document.items[item];
  return found ? `${item + 1} · ${promptEnd(found.prompt, 40)} · ${answerOf(found)}` : '';
}
