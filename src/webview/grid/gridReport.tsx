import { count } from '../../shared/format.ts';
import { DataTable, type TableModel } from '../figures/DataTable.tsx';
import { inlineSvg, reportPage } from '../figures/reportPage.tsx';
import { plainTheme } from '../figures/theme.ts';
import { type GridExport, gridSvg } from './gridSvg.tsx';
import { cellsTable, itemsTable, largestTable } from './gridTables.ts';
import { subtitleOf, titleOf } from './gridText.ts';
import { chosenIn } from './gridView.ts';

function factsOf(document: GridExport['document']): readonly (readonly [string, string])[] {
  const { provenance, request, cost } = document;
  const { prompts, ...asked } = request;
  return [
    ['request', JSON.stringify(asked)],
    ['intervention', document.intervention],
    ['method', document.method],
    ['metric', `${document.metric.label}, ${document.metric.unit}; ${JSON.stringify(document.metric.spec)}`],
    ['prompts', count(prompts.length)],
    ['model', `${provenance.modelLabel} (${provenance.model})`],
    ['sha256 of the weights', provenance.modelHash],
    ['patches', provenance.patches.join(', ') || 'none'],
    ['cost', `${count(cost.forwardPasses)} forward passes, ${cost.seconds.toFixed(1)} s`],
    ['BOS', provenance.bos],
    ['arithmetic', `${provenance.dtype}, weights as stored`],
    ['Mechanist', `${provenance.mechanistVersion}, result #${provenance.hash}`],
  ];
}

/** A page of its own: figures, every number, provenance; nothing is loaded, no scripts. Prints without fills. */
export function gridReport(shown: GridExport): string {
  const { document, state, view } = shown;
  const theme = plainTheme('light');
  const chosen = chosenIn(document, view, state);
  const wide = { ...shown, width: 1200, untitled: true };
  const tables: TableModel[] = [
    largestTable(document, state.compared, chosen.item, 20).table,
    ...(chosen.place ? [itemsTable(document, chosen.place)] : []),
    cellsTable(document, state.compared),
  ];
  return reportPage({
    title: titleOf(document, chosen.item),
    subtitle: subtitleOf(document),
    warnings: document.warnings,
    screen: inlineSvg(gridSvg({ ...wide, theme })),
    print: inlineSvg(gridSvg({ ...wide, theme: plainTheme('highContrastLight') })),
    facts: factsOf(document),
    tables: tables.map((table) => <DataTable key={table.id} theme={theme} table={table} sort={null} />),
  });
}
