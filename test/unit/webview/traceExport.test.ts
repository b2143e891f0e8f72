import { describe, expect, test } from 'vitest';
import { contrastRatio } from '../../../src/shared/color.ts';
import type { FromTracePanel } from '../../../src/shared/tracePanelProtocol.ts';
import { tableToCsv } from '../../../src/webview/figures/csv.ts';
import { nextSort, sortRows, type TableModel } from '../../../src/webview/figures/DataTable.tsx';
import { plainTheme, resolveTheme, themeKind } from '../../../src/webview/figures/theme.ts';
import { exportItems } from '../../../src/webview/trace/exportItems.ts';
import { exportMessage } from '../../../src/webview/trace/traceExport.ts';
import type { TraceShown } from '../../../src/webview/trace/traceSvg.tsx';
import { componentsTable, sourcesTable, tokensTable } from '../../../src/webview/trace/traceTables.ts';
import { initialView } from '../../../src/webview/trace/viewState.ts';
import { makeTrace } from '../../support/traceFixture.ts';
import { hundred, readyState } from '../../support/traceStates.ts';

const shown = (document = makeTrace()): TraceShown => {
  const { lens, head } = readyState(document);
  return { document, lens, head, view: initialView, theme: plainTheme('dark'), width: 1200 };
};

async function textOf(id: string, what = shown()): Promise<string> {
  const message: FromTracePanel = await exportMessage(id, what);
  if (message.type !== 'export' || typeof message.data !== 'string') throw new Error(`${id} is not text`);
  return message.data;
}

const lines = (csv: string): string[][] =>
  csv
    .trimEnd()
    .split('\r\n')
    .map((line) => line.split(','));

describe('CSV', () => {
  test('components add up to the observable, in full precision', async () => {
    const rows = lines(await textOf('csv-components'));
    expect(rows[0]).toEqual(['component', 'layer', 'kind', 'logits']);
    const values = rows.slice(1, -1).map((row) => Number(row[3]));
    const total = Number(rows.at(-1)?.[3]);
    expect(values).toHaveLength(30 * 9 + 30 + 1);
    expect(values.reduce((a, b) => a + b, 0)).toBeCloseTo(total, 10);
    expect(total).toBe(makeTrace().observable.value);
  });

  test('tokens keep their spaces visible and their sum', async () => {
    const rows = lines(await textOf('csv-tokens'));
    expect(rows[7].slice(0, 2)).toEqual(['7', '␣nurse']);
    expect(rows.at(-1)?.[0]).toBe('sum');
  });

  test('occlusion has no sum', () => {
    expect(tokensTable(makeTrace({ method: 'occlusion' })).sum).toBeUndefined();
  });

  test('the lens has a line for each layer and position', async () => {
    expect(lines(await textOf('csv-lens'))).toHaveLength(1 + 31 * 9);
  });

  test('quotes, commas, line ends and formulas', () => {
    const table: TableModel = {
      id: 't',
      caption: '',
      columns: [
        { id: 'a', label: 'a', kind: 'text' },
        { id: 'b', label: 'b', kind: 'number' },
      ],
      rows: [
        ['x,"y"', -1.5],
        ['=1+1', null],
        ['a\nb', Number.NaN],
      ],
    };
    expect(tableToCsv(table)).toBe('a,b\r\n"x,""y""",-1.5\r\n\'=1+1,\r\n"a\nb",NaN\r\n');
  });

  test('an export that is not there yet says so', async () => {
    await expect(exportMessage('csv-lens', { ...shown(), lens: null })).rejects.toThrow('not there yet');
  });
});

describe('SVG', () => {
  test('stands alone: one root, resolved colours, no variables, classes of no meaning', async () => {
    const svg = await textOf('svg');
    expect(svg).toMatch(/^<\?xml version="1.0" encoding="UTF-8"\?>\n<svg xmlns="http:\/\/www.w3.org\/2000\/svg"/);
    expect(svg).not.toMatch(/var\(|color-mix|NaN"|undefined|tabindex|role="gridcell"/);
    expect(svg).toContain('Direct logit attribution at ␣that');
    expect(svg).toContain('Logit lens');
  });

  test('is well-formed XML whatever the tokens are', async () => {
    const tokens = ['<b>', '&amp;', '"', "'", '\u0000', '\ud800', '漢字', ']]>', '-->'];
    const svg = await textOf('svg', shown(makeTrace({ tokens, nLayers: 2, nHeads: 2 })));
    // Every tag is closed in order; text has no raw < or &.
    const stack: string[] = [];
    for (const [, close, name, rest] of svg.matchAll(/<(\/?)([a-z]+)((?:[^>"]|"[^"]*")*)>/gi)) {
      if (close) expect(stack.pop()).toBe(name);
      else if (!rest.endsWith('/')) stack.push(name);
    }
    expect(stack).toEqual([]);
    const texts = svg.replace(/^<\?xml[^>]*>/, '').replace(/<(?:[^>"]|"[^"]*")*>/g, '');
    expect(texts).not.toMatch(/<|&(?!(?:amp|lt|gt|quot|#\d+);)/);
    const controls = [...svg].filter((c) => c < ' ' && c !== '\n');
    expect(controls).toEqual([]);
  });

  test('100 tokens are drawn within the window', async () => {
    const svg = await textOf('svg', shown(hundred()));
    expect(svg.length).toBeLessThan(3_000_000);
    expect(svg).toContain('␣nurse');
  });
});

describe('JSON and HTML', () => {
  test('JSON holds every number; typed arrays are lists; NaN is a word', async () => {
    const document = makeTrace({ change: (value, layer) => (layer === 0 ? Number.NaN : value) });
    const parsed = JSON.parse(await textOf('json', shown(document)));
    expect(parsed.kind).toBe('trace');
    expect(parsed.direct.bySource.data).toHaveLength(30 * 9 * 9);
    expect(parsed.direct.heads[0][0]).toBe('NaN');
    expect(parsed.lens.rows).toHaveLength(31);
    expect(parsed.provenance).toEqual(document.provenance);
  });

  test('the report loads nothing and runs nothing', async () => {
    const html = await textOf('html');
    expect(html).not.toMatch(/<script|<link|<img|\ssrc=|@import|url\((?!#)|https?:\/\/(?!www\.w3\.org\/2000\/svg)/);
    expect(html).toContain('<table');
    expect(html).toContain('b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53');
    const ids = [...html.matchAll(/\sid="([^"]+)"/g)].map((match) => match[1]);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test('the citation says model, hash, prompt and version', async () => {
    const message = await exportMessage('citation', shown());
    expect(message.type).toBe('copy');
    if (message.type !== 'copy') return;
    for (const part of ['#3f9a1c7', 'sha256 b179c9', 'After the long shift', 'Mechanist 0.1.0', 'no BOS added'])
      expect(message.text).toContain(part);
  });

  test('every entry of the menu but PNG, which needs a page, gives a file or a text', async () => {
    const head = { layer: 20, kind: 'head' as const, head: 1 };
    const what = { ...shown(), view: { ...initialView, component: head } };
    for (const { id } of exportItems(head).filter((item) => item.id !== 'png'))
      expect(['export', 'copy']).toContain((await exportMessage(id, what)).type);
  });
});

describe('tables', () => {
  test('the sum of sources is the head, and the others make it exact', () => {
    const document = hundred();
    const table = sourcesTable(document, { layer: 3, kind: 'head', head: 1 });
    expect(table.rows).toHaveLength(16);
    const parts = table.rows.reduce((total, row) => total + Number(row[3]), 0);
    expect(parts).toBeCloseTo(Number(table.sum?.[3]), 5);
  });

  test('sorting: numbers start with the largest, missing values come last, ties keep their order', () => {
    const table = componentsTable(makeTrace());
    const logits = table.columns[3];
    const down = nextSort(logits, null);
    expect(down.direction).toBe('descending');
    const values = sortRows(table, down).map((row) => Number(row[3]));
    expect(values).toEqual([...values].sort((a, b) => b - a));
    const up = sortRows(table, nextSort(logits, down)).map((row) => Number(row[3]));
    expect(up[0]).toBe(values.at(-1));
    const layers = sortRows(table, { column: 'layer', direction: 'ascending' }).map((row) => row[1]);
    expect(layers.at(-1)).toBeNull();
  });
});

describe('theme', () => {
  test('classes of VS Code and forced colours choose the kind', () => {
    expect(themeKind(['vscode-dark'], null)).toBe('dark');
    expect(themeKind(['vscode-light'], null)).toBe('light');
    expect(themeKind(['vscode-high-contrast'], null)).toBe('highContrastDark');
    expect(themeKind(['vscode-high-contrast', 'vscode-high-contrast-light'], null)).toBe('highContrastLight');
    expect(themeKind(['vscode-light'], true)).toBe('highContrastDark');
  });

  test('our own colours win, then the theme, then the default', () => {
    const only = (values: Record<string, string>) => (name: string) => values[name] ?? '';
    expect(resolveTheme('dark', only({ '--vscode-mechanist-positive': '#123456' })).palette.positive).toBe('#123456');
    expect(resolveTheme('dark', only({ '--vscode-charts-blue': '#0000ff' })).palette.positive).toBe('#0000ff');
    expect(resolveTheme('dark', only({ '--vscode-charts-blue': 'nonsense' })).palette.positive).toBe('#3b97f5');
  });

  test('translucent colours are made opaque', () => {
    const read = (name: string): string => (name === '--vscode-descriptionForeground' ? 'rgba(255,255,255,.7)' : '');
    const { palette } = resolveTheme('highContrastDark', read);
    expect(palette.secondary).toBe('#b3b3b3');
    expect(contrastRatio(palette.secondary, palette.background)).toBeGreaterThan(4.5);
  });
});
