import { renderToString } from 'preact-render-to-string';
import { describe, expect, test } from 'vitest';
import type { FiguresDocument } from '../../../src/shared/figures.ts';
import type { FiguresPanelState, FromFiguresPanel } from '../../../src/shared/figuresPanelProtocol.ts';
import type { ThemeKind } from '../../../src/shared/palette.ts';
import { plainTheme } from '../../../src/webview/figures/theme.ts';
import { FiguresPanel } from '../../../src/webview/results/FiguresPanel.tsx';
import { exportMessage } from '../../../src/webview/results/figuresExport.tsx';
import { asFigures } from '../../../src/webview/results/figuresText.ts';
import { type FiguresView, initialView, restoreView } from '../../../src/webview/results/figuresView.ts';
import { makeEvaluation, makeFigures } from '../../support/figuresFixture.ts';

const nothing = (): void => undefined;
const actions = {
  select: nothing,
  copy: nothing,
  table: nothing,
  sort: nothing,
  setView: nothing,
  exportAs: nothing,
  tell: nothing,
  request: nothing,
};

const draw = (
  document: FiguresPanelState['document'],
  view: Partial<FiguresView> = {},
  kind: ThemeKind = 'dark',
  width = 1070,
  error: string | null = null,
): string =>
  renderToString(
    <FiguresPanel
      state={{ title: 'a.mechanist.json', document, error }}
      view={{ ...initialView, ...view }}
      theme={plainTheme(kind)}
      width={width}
      actions={actions}
    />,
  );

/** One picture of a document alone: small enough to be read in a snapshot. */
const only = (id: string, document = makeFigures()): FiguresDocument => ({
  ...document,
  checks: [],
  pictures: document.pictures.filter((picture) => picture.id === id),
});

const count = (html: string, part: string): number => html.split(part).length - 1;
const negative = makeFigures({ change: (value) => -Math.abs(value) - 0.01 });
const constant = makeFigures({ change: () => 0.25 });
const broken = makeFigures({ change: () => Number.NaN });
const charts = ['attention', 'top heads', 'add-back', 'random', 'graph'];

describe('snapshots', () => {
  test.each(charts)('%s', (id) => {
    expect(draw(only(id))).toMatchSnapshot();
  });
  test.each(charts)('%s, all negative', (id) => {
    expect(draw(only(id, negative), {}, 'light')).toMatchSnapshot();
  });
  test('high contrast', () => {
    expect(draw(only('top heads'), {}, 'highContrastLight')).toMatchSnapshot();
  });
  test('checks', () => {
    expect(draw({ ...makeFigures(), pictures: [] })).toMatchSnapshot();
  });
});

describe('what it draws', () => {
  test.each([
    ['constant', constant],
    ['NaN', broken],
  ])('%s values break nothing: every coordinate is a number', (_, document) => {
    const html = draw(document);
    const spoken = /aria-label="[^"]*"/g;
    const bad = html.replace(spoken, '').match(/ [a-z0-9-]+="[^"]*(?:NaN|Infinity)[^"]*"/g);
    expect(bad).toBeNull();
    expect(html).toContain('Information stays');
  });

  test('NaN is said in words, with its place', () => {
    expect(draw(broken)).toContain('Not a number at L0, position BOS of “L9 at C3 matters most for letter 3”.');
  });

  test('an empty picture says so in its place', () => {
    const [bars] = only('attention').pictures;
    const document = only('attention');
    const html = draw({ ...document, pictures: [{ ...bars, groups: [] } as FiguresDocument['pictures'][number]] });
    expect(html).toContain('Nothing to draw');
  });

  test('matrices of one unit share their scale', () => {
    const html = draw(makeFigures());
    expect(count(html, 'Colour key: −5 to +5 logits')).toBe(2);
  });

  test('layers run upward', () => {
    const html = draw(only('letter 3'));
    expect(html.indexOf('>L11</text>')).toBeLessThan(html.indexOf('>L0</text>'));
  });

  test('what is not run is hatched and counted', () => {
    const html = draw(makeFigures({ done: 0.5 }));
    expect(html).toContain('7 of 12 cells are done');
    expect(count(html, 'not run yet"')).toBeGreaterThan(100);
  });

  test('checks are said in words', () => {
    const html = draw(makeFigures());
    expect(html).toContain('1 of 4 numbers as expected, 1 differs with a remark');
    for (const word of ['pass', 'fail', 'differs', 'not there', 'unstable in the source', 'methods §9'])
      expect(html).toContain(`>${word}</td>`);
    expect(html).toContain('>−3.30 to −2.30</td>');
  });

  test('the table has the numbers of every picture', () => {
    const document = makeFigures();
    const html = draw(document, { table: true });
    // Checks and nine pictures.
    expect(count(html, '<table')).toBe(10);
    expect(count(html, '<svg')).toBeLessThan(500);
  });

  test('a file that cannot be read says why and offers its text', () => {
    const html = draw(null, {}, 'dark', 700, 'This is no result of Mechanist: it is not JSON.');
    expect(html).toContain('it is not JSON');
    expect(html).toContain('Open as Text');
    expect(draw(makeFigures(), {}, 'dark', 700, 'Broken.')).toContain('What is shown is the last state');
  });

  test('an evaluation of a circuit: the null stands in the figure', () => {
    const html = draw(makeEvaluation());
    expect(html).toMatch(/<h1>acronyms: 8 heads: faithfulness 1\.05, random \.0\d<\/h1>/);
    expect(html).toContain('Above 200 of 200 random circuits');
    expect(html).toContain('20 random orders');
    expect(html).toContain('L8.H11 is missed most');
    expect(html).toContain('mean ablation over the corruption permuted');
  });

  test.each([420, 700, 1070, 1600])('no drawing is wider than the panel at %d px', (width) => {
    const html = draw(makeFigures(), {}, 'light', width);
    const widths = [...html.matchAll(/class="m-chart-svg" width="(\d+)"/g)].map((match) => Number(match[1]));
    expect(widths).toHaveLength(6);
    expect(Math.max(...widths)).toBeLessThanOrEqual(width - 24);
  });
});

describe('exports', () => {
  const shown = (document: FiguresDocument) => ({
    document,
    view: initialView,
    theme: plainTheme('dark'),
    width: 1200,
  });
  const dataOf = async (id: string, document = makeFigures()): Promise<string> => {
    const message: FromFiguresPanel = await exportMessage(id, shown(document), document);
    if (message.type !== 'export' || typeof message.data !== 'string') throw new Error(`${id} is not text`);
    return message.data;
  };

  test('SVG: a file of its own with every chart and matrix', async () => {
    const svg = await dataOf('svg');
    expect(svg).toMatch(/^<\?xml/);
    for (const { title, type } of makeFigures().pictures)
      if (type !== 'table') expect(svg.replaceAll(/<\/text><text[^>]*>/g, ' ')).toContain(title);
    expect(svg).not.toContain('var(--');
  });

  test('CSV: full precision, one line a number', async () => {
    const csv = await dataOf('csv:random');
    expect(csv.trimEnd().split('\r\n')).toHaveLength(1 + 2 + 200);
    expect(csv).toContain('this circuit,1.05');
    expect(await dataOf('csv-checks')).toContain('L3.10.10,-1.02,');
  });

  test('HTML: no scripts, nothing loaded, provenance', async () => {
    const html = await dataOf('html');
    expect(html).not.toMatch(/<script|https?:\/\/(?!www\.w3\.org)/);
    expect(html).toContain('sha256 of the weights');
    expect(html).toContain('1 of 4 numbers as expected');
  });

  test('an evaluation exports itself as JSON, not its drawing', async () => {
    const evaluation = makeEvaluation();
    const message = await exportMessage('json', shown(asFigures(evaluation)), evaluation);
    expect(message.type === 'export' && JSON.parse(String(message.data)).kind).toBe('circuit-evaluation');
  });
});

describe('kept view', () => {
  test('anything odd falls back', () => {
    expect(restoreView(null)).toEqual(initialView);
    expect(restoreView({ table: 'yes', selected: [1], scroll: Number.NaN, sorts: 3 })).toEqual(initialView);
    expect(restoreView({ table: true, selected: { a: '1.2', b: 3 } }).selected).toEqual({ a: '1.2' });
  });
});
