import type { FromTracePanel } from '../../shared/tracePanelProtocol.ts';
import { tableToCsv } from '../figures/csv.ts';
import type { TableModel } from '../figures/DataTable.tsx';
import { svgToPng } from '../figures/stillSvg.tsx';
import { traceReport } from './traceReport.tsx';
import { type TraceShown, traceSvg } from './traceSvg.tsx';
import { componentsTable, lensTable, sourcesTable, tokensTable } from './traceTables.ts';
import { citationOf, fileStem } from './traceText.ts';
import { selectionIn } from './viewState.ts';

/** Typed arrays become plain lists; NaN and infinities, which JSON lacks, become words. */
function jsonValue(_key: string, value: unknown): unknown {
  if (value instanceof Float32Array) return [...value];
  return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value;
}

function csvTable(id: string, { document, lens, view }: TraceShown): TableModel | null {
  const { component } = selectionIn(document, view);
  if (id === 'csv-components') return componentsTable(document);
  if (id === 'csv-tokens') return tokensTable(document);
  if (id === 'csv-lens') return lens && lensTable(document, lens);
  return id === 'csv-sources' && component?.kind === 'head' ? sourcesTable(document, component, true) : null;
}

/**
 * The message that an entry of *Export* sends to the host; see `exportItems` for the ids.
 * @throws Error with a sentence for the person when there is nothing to export yet or the page cannot draw.
 */
export async function exportMessage(id: string, shown: TraceShown): Promise<FromTracePanel> {
  const { document, lens, head } = shown;
  const stem = fileStem(document);
  const file = (
    format: 'svg' | 'png' | 'csv' | 'json' | 'html',
    data: string | Uint8Array,
    suffix = '',
  ): FromTracePanel => ({
    type: 'export',
    format,
    name: `${stem}${suffix}.${format}`,
    data,
  });
  if (id === 'citation') return { type: 'copy', text: citationOf(document) };
  if (id === 'svg') return file('svg', traceSvg(shown));
  if (id === 'png') return file('png', await svgToPng(traceSvg(shown)));
  if (id === 'json') return file('json', `${JSON.stringify({ ...document, lens, head }, jsonValue, 1)}\n`);
  if (id === 'html') return file('html', traceReport(shown));
  const table = csvTable(id, shown);
  if (table === null) throw new Error('This table is not there yet. Wait until it is shown, then export again.');
  return file('csv', tableToCsv(table), `-${table.id}`);
}
