import type { VNode } from 'preact';
import { renderToString } from 'preact-render-to-string';
import { DataTable, type TableModel } from '../figures/DataTable.tsx';
import { plainTheme } from '../figures/theme.ts';
import { type TraceShown, traceSvg } from './traceSvg.tsx';
import { componentsTable, lensTable, ovTable, sourcesTable, tokensTable } from './traceTables.ts';
import { readToken, subtitleOf, titleOf } from './traceText.ts';
import { selectionIn } from './viewState.ts';

const style = `
body{font:13px/1.5 system-ui,"Segoe UI",Ubuntu,sans-serif;color:#3b3b3b;background:#fff;margin:24px;max-width:1240px}
h1{font-size:15px}h2{font-size:13px;margin-top:24px}
p,table{font-size:12px}svg{max-width:100%;height:auto}table svg{width:84px}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:12px 24px 12px 0}
caption{text-align:left;font-weight:600;font-size:13px;padding:4px 0}
th,td{text-align:right;padding:1px 12px 1px 0;font-weight:400}
thead th{border-bottom:1px solid #ccc;color:#616161}tfoot th,tfoot td{border-top:1px solid #ccc;font-weight:600}
.m-text,.m-token,.m-bar{text-align:left}.m-token{font-family:Menlo,Consolas,"DejaVu Sans Mono",monospace}
dt{float:left;clear:left;width:150px;color:#616161}dd{margin:0 0 2px 160px;font-size:12px;overflow-wrap:anywhere}
.print{display:none}@media print{.screen{display:none}.print{display:block}}`;

function Facts({ shown }: { shown: TraceShown }): VNode {
  const { document } = shown;
  const { provenance } = document;
  const facts: readonly (readonly [string, string])[] = [
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
  return (
    <dl>
      {facts.map(([name, value]) => (
        <>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </>
      ))}
    </dl>
  );
}

/** Strips the XML declaration so that the file can stand in a page. */
const inline = (svg: string): string => svg.replace(/^<\?xml[^>]*>\n/, '');

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
  const screen = inline(traceSvg({ ...wide, theme }));
  // Ids of hatches must not be the same twice in a page.
  const print = inline(traceSvg({ ...wide, theme: plainTheme('highContrastLight') })).replaceAll(
    '-hatch',
    '-hatch-print',
  );
  const body = renderToString(
    <body>
      <h1>{titleOf(document)}</h1>
      <p>{subtitleOf(document)}</p>
      {document.warnings.map((warning) => (
        <p key={warning}>{`Warning: ${warning}`}</p>
      ))}
      <div class="screen" dangerouslySetInnerHTML={{ __html: screen }} />
      <div class="print" dangerouslySetInnerHTML={{ __html: print }} />
      <h2>What this is made of</h2>
      <Facts shown={shown} />
      <h2>Numbers</h2>
      {tables.map((table) => (
        <DataTable key={table.id} theme={theme} table={table} sort={null} />
      ))}
    </body>,
  );
  const title = renderToString(<title>{titleOf(document)}</title>);
  return `<!doctype html>\n<html lang="en"><head><meta charset="utf-8">${title}<style>${style}</style></head>${body}</html>\n`;
}
