import type { CircuitEvaluation } from '../../shared/circuit.ts';
import type { FiguresDocument } from '../../shared/figures.ts';
import type { FromFiguresPanel } from '../../shared/figuresPanelProtocol.ts';
import { resultToJson } from '../../shared/resultJson.ts';
import { tableToCsv } from '../figures/csv.ts';
import { DataTable, type TableModel } from '../figures/DataTable.tsx';
import { inlineSvg, reportPage } from '../figures/reportPage.tsx';
import { svgToPng } from '../figures/stillSvg.tsx';
import { plainTheme } from '../figures/theme.ts';
import { type FiguresExport, figuresSvg } from './figuresSvg.tsx';
import { citationOf, factsOf, fileStem, subtitleOf } from './figuresText.ts';
import { checksTable, checksTitle, tablesOf } from './pictureTables.ts';

/** A page of its own: checks, figures, every number, provenance; nothing is loaded, no scripts. */
function figuresReport(shown: FiguresExport): string {
  const { document } = shown;
  const theme = plainTheme('light');
  const wide = { ...shown, width: 1200, untitled: true };
  const checks: TableModel[] =
    document.checks.length > 0 ? [{ ...checksTable(document.checks), caption: checksTitle(document.checks) }] : [];
  const tables = [...checks, ...document.pictures.flatMap(tablesOf)];
  return reportPage({
    title: document.title,
    subtitle: subtitleOf(document),
    warnings: document.warnings,
    screen: inlineSvg(figuresSvg({ ...wide, theme })),
    print: inlineSvg(figuresSvg({ ...wide, theme: plainTheme('highContrastLight') })),
    facts: factsOf(document),
    tables: tables.map((table) => <DataTable key={table.id} theme={theme} table={table} sort={null} />),
  });
}

/**
 * The message that an entry of *Export* sends to the host.
 * @throws Error with a sentence for the person when the page cannot draw
 */
export async function exportMessage(
  id: string,
  shown: FiguresExport,
  source: FiguresDocument | CircuitEvaluation,
): Promise<FromFiguresPanel> {
  const { document } = shown;
  const stem = fileStem(document);
  const file = (
    format: 'svg' | 'png' | 'csv' | 'json' | 'html',
    data: string | Uint8Array,
    suffix = '',
  ): FromFiguresPanel => ({ type: 'export', format, name: `${stem}${suffix}.${format}`, data });
  if (id === 'citation') return { type: 'copy', text: citationOf(document) };
  if (id === 'svg') return file('svg', figuresSvg(shown));
  if (id === 'png') return file('png', await svgToPng(figuresSvg(shown)));
  if (id === 'json') return file('json', resultToJson(source));
  if (id === 'html') return file('html', figuresReport(shown));
  if (id === 'csv-checks') return file('csv', tableToCsv(checksTable(document.checks)), '-checks');
  const table = document.pictures.flatMap(tablesOf).find((one) => `csv:${one.id}` === id);
  if (table === undefined) throw new Error('That picture is no longer in the result.');
  return file('csv', tableToCsv(table), `-${table.id.replace(/[^\w.-]+/g, '-')}`);
}
