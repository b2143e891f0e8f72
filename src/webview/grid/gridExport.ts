import { gridToJson } from '../../shared/gridFile.ts';
import type { FromGridPanel } from '../../shared/gridPanelProtocol.ts';
import { tableToCsv } from '../figures/csv.ts';
import { svgToPng } from '../figures/stillSvg.tsx';
import { gridReport } from './gridReport.tsx';
import { type GridExport, gridSvg } from './gridSvg.tsx';
import { cellsTable, itemsTable } from './gridTables.ts';
import { citationOf, fileStem } from './gridText.ts';
import { chosenIn } from './gridView.ts';

/**
 * The message that an entry of *Export* sends to the host.
 * @throws Error with a sentence for the person when there is nothing to export yet or the page cannot draw.
 */
export async function exportMessage(id: string, shown: GridExport): Promise<FromGridPanel> {
  const { document, state, view } = shown;
  const stem = fileStem(document);
  const { place } = chosenIn(document, view, state);
  const file = (
    format: 'svg' | 'png' | 'csv' | 'json' | 'html',
    data: string | Uint8Array,
    suffix = '',
  ): FromGridPanel => ({ type: 'export', format, name: `${stem}${suffix}.${format}`, data });
  if (id === 'citation') return { type: 'copy', text: citationOf(document) };
  if (id === 'svg') return file('svg', gridSvg(shown));
  if (id === 'png') return file('png', await svgToPng(gridSvg(shown)));
  if (id === 'json') return file('json', gridToJson(document));
  if (id === 'html') return file('html', gridReport(shown));
  if (id === 'csv-cells') return file('csv', tableToCsv(cellsTable(document, state.compared)), '-cells');
  if (id !== 'csv-prompts' || place === null) throw new Error('Select a cell first; its prompts are exported.');
  return file('csv', tableToCsv(itemsTable(document, place)), '-prompts');
}
