import type { ComponentChildren } from 'preact';
import { renderToString } from 'preact-render-to-string';

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

/** Strips the XML declaration so that the file can stand in a page. */
export const inlineSvg = (svg: string): string => svg.replace(/^<\?xml[^>]*>\n/, '');

interface ReportParts {
  readonly title: string;
  readonly subtitle: string;
  readonly warnings: readonly string[];
  /** SVG text of the figures: in colour, and for print. */
  readonly screen: string;
  readonly print: string;
  /** What the result is made of: name and value. */
  readonly facts: readonly (readonly [string, string])[];
  readonly tables: ComponentChildren;
}

/** A page of its own around figures and tables: nothing is loaded, no scripts. Prints without fills. */
export function reportPage(parts: ReportParts): string {
  const { title, subtitle, warnings, facts, tables } = parts;
  // Ids of hatches must not be the same twice in a page.
  const print = parts.print.replaceAll('-hatch', '-hatch-print');
  const body = renderToString(
    <body>
      <h1>{title}</h1>
      <p>{subtitle}</p>
      {warnings.map((warning) => (
        <p key={warning}>{`Warning: ${warning}`}</p>
      ))}
      <div class="screen" dangerouslySetInnerHTML={{ __html: parts.screen }} />
      <div class="print" dangerouslySetInnerHTML={{ __html: print }} />
      <h2>What this is made of</h2>
      <dl>
        {facts.map(([name, value]) => (
          <>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </>
        ))}
      </dl>
      <h2>Numbers</h2>
      {tables}
    </body>,
  );
  const head = renderToString(<title>{title}</title>);
  return `<!doctype html>\n<html lang="en"><head><meta charset="utf-8">${head}<style>${style}</style></head>${body}</html>\n`;
}
