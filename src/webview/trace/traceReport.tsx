import { DataTable, type TableModel } from '../figures/DataTable.tsx';
import { inlineSvg, reportPage } from '../figures/reportPage.tsx';
import { plainTheme } from '../figures/theme.ts';
import { type TraceShown, traceSvg } from './traceSvg.tsx';
import { componentsTable, lensTable, ovTable, sourcesTable, tokensTable } from './traceTables.ts';
import { readToken, subtitleOf, titleOf } from './traceText.ts';
import { selectionIn } from './viewState.ts';

function factsOf(document: TraceShown['document']): readonly (readonly [string, string])[] {
  const { provenance } = document;
  return [
    ['prompt', document.prompt],
    [
      'observable',
      document.observable.terms.map(({ text, weight }) => `${weight} × ${JSON.stringify(text)}`).join(' + '),
    ],
    ['read at', `${readToken(document)}, position ${document.position + 1} of ${document.tokens.length}`],
    ['method', document.method],
    ['model', `${provenance.modelLabel} (${provenance.model})`],
    ['sha256 of the weights', provenance.modelHash],
    ['patches', provenance.patches.join(', ') || 'none'],
    ['ablation', provenance.ablation],
    ['BOS', provenance.bos],
    ['arithmetic', `${provenance.dtype}, weights as stored`],
    ['Mechanist', `${provenance.mechanistVersion}, result #${provenance.hash}`],
  ];
}

/** A page of its own: figures, every number, provenance; nothing is loaded, no scripts. Prints without fills. */
export function traceReport(shown: TraceShown): string {
  const { document, lens, head, view } = shown;
  const theme = plainTheme('light');
  const { component } = selectionIn(document, view);
  const isHead = component?.kind === 'head';
  const tables: TableModel[] = [
    tokensTable(document),
    ...(component && isHead ? [sourcesTable(document, component, true)] : []),
    ...(head && isHead && head.layer === component?.layer && head.head === component.head
      ? [ovTable(head, document.tokens[head.ov.source]?.text ?? '')]
      : []),
    componentsTable(document),
    ...(lens ? [lensTable(document, lens)] : []),
  ];
  const wide = { ...shown, width: 1200, untitled: true };
  return reportPage({
    title: titleOf(document),
    subtitle: subtitleOf(document),
    warnings: document.warnings,
    screen: inlineSvg(traceSvg({ ...wide, theme })),
    print: inlineSvg(traceSvg({ ...wide, theme: plainTheme('highContrastLight') })),
    facts: factsOf(document),
    tables: tables.map((table) => <DataTable key={table.id} theme={theme} table={table} sort={null} />),
  });
}
