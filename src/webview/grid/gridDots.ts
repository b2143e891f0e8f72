import { cellItems } from '../../shared/gridCells.ts';
import type { GridDocument } from '../../shared/gridDocument.ts';
import type { GridCompared, GridPlace } from '../../shared/gridPanelProtocol.ts';
import { type DotPlotModel, type DotRow, mostGroups } from '../figures/DotPlot.tsx';
import { placeName } from './gridNames.ts';
import { valueSummary } from './gridNumbers.ts';
import { afterWord } from './gridText.ts';

/** First tag of each item, if there are few of them: the shape of its dot. */
function groupsOf({ items }: GridDocument): { names: string[]; of: number[] } {
  const names = [...new Set(items.map(({ tags }) => tags[0] ?? ''))];
  if (names.length > mostGroups || names.length < 2) return { names: [], of: items.map(() => 0) };
  const counts = names.map((name) => items.filter(({ tags }) => (tags[0] ?? '') === name).length);
  return {
    names: names.map((name, i) => `${name === '' ? 'other' : name}, ${counts[i]}`),
    of: items.map(({ tags }) => names.indexOf(tags[0] ?? '')),
  };
}

/** Per-prompt dots of a cell: clean, after the intervention, corrupted; and the other result's, where there is one. */
export function cellDots(document: GridDocument, place: GridPlace, compared: GridCompared | null): DotPlotModel {
  const { names, of } = groupsOf(document);
  const { clean, corrupted, metric } = document;
  const row = (label: string, values: readonly number[], summary: DotRow['summary'], strong: boolean): DotRow => ({
    label,
    values,
    groups: values.length === of.length ? of : undefined,
    summary,
    strong,
  });
  const rows = [
    row('clean', clean.byItem, clean, false),
    row(afterWord(document), [...cellItems(document, place.row, place.column)], valueSummary(document, place), true),
  ];
  if (corrupted) rows.push(row('corrupted', corrupted.byItem, corrupted, false));
  if (compared && (compared.document.values[place.row]?.[place.column] ?? null) !== null) {
    const values = [...cellItems(compared.document, place.row, place.column)];
    rows.push(row('other', values, valueSummary(compared.document, place), false));
  }
  const axis = metric.label.endsWith(metric.unit) ? metric.label : `${metric.label}, ${metric.unit}`;
  return { title: `${placeName(document, place)} by prompt`, axis, rows, groups: names };
}
