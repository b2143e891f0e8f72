import { renderToString } from 'preact-render-to-string';
import { describe, expect, test } from 'vitest';
import { differsOnCorpus } from '../../../src/shared/couplingPicture.ts';
import { resultFromJson } from '../../../src/shared/figuresFile.ts';
import type { ThemeKind } from '../../../src/shared/palette.ts';
import { resultToJson } from '../../../src/shared/resultJson.ts';
import { couplingMatrix } from '../../../src/webview/coupling/couplingMatrix.ts';
import { chosenPair, shownOrder } from '../../../src/webview/coupling/couplingOrder.ts';
import { flaggedText, rhoWarning } from '../../../src/webview/coupling/couplingText.ts';
import { outermost, placeLabels } from '../../../src/webview/coupling/labelPlaces.ts';
import { plainTheme } from '../../../src/webview/figures/theme.ts';
import { FiguresPanel } from '../../../src/webview/results/FiguresPanel.tsx';
import { exportMessage } from '../../../src/webview/results/figuresExport.tsx';
import { type FiguresView, initialView, restoreView } from '../../../src/webview/results/figuresView.ts';
import { type CouplingFixture, makeCoupling, makeCouplingResult } from '../../support/couplingFixture.ts';

const nothing = (): void => undefined;
const actions = {
  ...{ select: nothing, copy: nothing, table: nothing, sort: nothing, setView: nothing },
  ...{ exportAs: nothing, tell: nothing, request: nothing },
};

const draw = (
  options: CouplingFixture = {},
  view: Partial<FiguresView> = {},
  kind: ThemeKind = 'dark',
  width = 1340,
): string =>
  renderToString(
    <FiguresPanel
      state={{ title: 'a.mechanist.json', document: makeCouplingResult(options), error: null }}
      view={{ ...initialView, ...view }}
      theme={plainTheme(kind)}
      width={width}
      actions={actions}
    />,
  );

const count = (html: string, part: string | RegExp): number => html.split(part).length - 1;
const one = { observables: ['Dem. − Rep.'] };

describe('snapshots', () => {
  test('one observable, no corpus', () => {
    expect(draw({ ...one, corpus: false }, {}, 'light')).toMatchSnapshot();
  });
  test('one observable, narrow, high contrast', () => {
    expect(draw({ ...one, corpus: false }, {}, 'highContrastDark', 420)).toMatchSnapshot();
  });
});

describe('the matrix', () => {
  const picture = makeCoupling();

  test('groups features of an observable or of a node, and keeps each feature’s numbers', () => {
    const byNode = shownOrder(picture, 'node').map((i) => picture.features[i].node);
    expect(byNode.slice(0, 3)).toEqual(['L21.H4', 'L21.H4', 'L21.H4']);
    const model = couplingMatrix(picture, { measure: 'C', grouping: 'node', width: 700 });
    for (const { cells } of model.rows) {
      for (const cell of cells) {
        const [row, column] = (cell?.id ?? '').split('.').map(Number);
        expect(cell?.value).toBe(picture.values.C[row][column]);
      }
    }
    expect(model.rows[0].group).toBe('L21.H4');
    expect(model.columns[2].label).toBe('occupations');
  });

  test('the diagonal is bare, whatever is shown', () => {
    for (const measure of ['C', 'cos', 'CS', 'slope'] as const) {
      const model = couplingMatrix(picture, { measure, grouping: 'observable', width: 700 });
      model.rows.forEach(({ cells }, i) => {
        expect(cells[i]).toMatchObject({ bare: true, text: '1' });
        expect(cells[i]?.flagged).toBeUndefined();
      });
    }
  });

  test('counts exactly the cells that it marks', () => {
    const marked = picture.features.flatMap((_, r) =>
      picture.features.filter((__, c) => differsOnCorpus(picture, r, c)),
    ).length;
    expect(marked).toBeGreaterThan(0);
    expect(flaggedText(picture)).toContain(`(${marked} cells)`);
    const model = couplingMatrix(picture, { measure: 'C', grouping: 'observable', width: 700 });
    expect(model.rows.flatMap(({ cells }) => cells.filter((cell) => cell?.flagged)).length).toBe(marked);
  });

  test('C, C_S and slope share a scale; cosines have their own', () => {
    const max = (measure: 'C' | 'CS' | 'slope' | 'cos') =>
      couplingMatrix(picture, { measure, grouping: 'observable', width: 700 }).max;
    expect(new Set([max('C'), max('CS'), max('slope')]).size).toBe(1);
    expect(max('cos')).toBe(1);
  });

  test('opens on the pair of two observables at one node that goes together most', () => {
    const pair = chosenPair(picture, undefined);
    const [a, b] = [picture.features[pair?.row ?? -1], picture.features[pair?.column ?? -1]];
    expect(a.node).toBe(b.node);
    expect(a.observable).not.toBe(b.observable);
    expect(chosenPair(picture, '2.5')).toEqual({ row: 2, column: 5 });
    expect(chosenPair(picture, '99.0')).toEqual(pair);
    expect(chosenPair({ ...picture, features: [] }, undefined)).toBeNull();
  });
});

describe('what it draws', () => {
  test('says which way it is normalised, what the marks mean, and names the pair', () => {
    const html = draw({}, { selected: { coupling: '0.8' } });
    expect(html).toContain('Rows normalise: read a row from left to right.');
    expect(html).toContain('C and Cₛ differ by more than 20 %');
    expect(html).toContain('␣she − ␣he L21.H4 → occupations L21.H4');
    expect(html).toContain('␣nurse + ␣teacher + ␣secretary − ␣programmer − ␣doctor − ␣engineer');
    expect(html).toContain('corpus web-sample.txt, 41,208 tokens, every 46th drawn');
    expect(html).toContain('score of occupations at L21.H4, logits');
    expect(html).toContain('expected 1.90°');
    expect(html).toContain('at this prompt 17.5°, ρ = .30');
    expect(html).toContain('>Use Boundary</button>');
  });

  test('maps the heads that write a feature where there are pairs, and not what is embedded', () => {
    const picture = makeCoupling(one);
    const drawn = (change: Partial<typeof picture>): string => {
      const document = { ...makeCouplingResult(one), pictures: [{ ...picture, ...change }] };
      const state = { title: 'a', document, error: null };
      return renderToString(
        <FiguresPanel state={state} view={initialView} theme={plainTheme('dark')} width={1340} actions={actions} />,
      );
    };
    const wanted = /aria-label="Map the Heads That Write/g;
    expect(drawn({}).match(wanted)).toHaveLength(2);
    for (const node of ['L21.H4 <= emb', 'L0.H2', 'L1.H0 <= L0.H2', 'L1.H0 <= MLP 0']) {
      expect(drawn({ features: picture.features.map((feature) => ({ ...feature, node })) })).not.toMatch(wanted);
    }
    expect(drawn({ norms: picture.norms.map((norm) => ({ ...norm, boundary: null })) })).not.toMatch(wanted);
  });

  test('without a corpus the matrix works, and the way to one is offered', () => {
    const html = draw({ corpus: false });
    expect(html).toContain('Choose Corpus');
    expect(html).not.toContain('differ by more than');
    expect(html).not.toContain('>slope</th>');
    expect(count(html, 'role="gridcell"')).toBe(169);
    const measured = draw({ corpus: false }, { measure: 'slope' });
    expect(measured).toContain('Not measured: slope needs a corpus.');
    expect(count(measured, 'not run yet')).toBeGreaterThan(168);
  });

  test.each(['NaN', 'Infinity'])('%s breaks nothing: every coordinate is a number', (word) => {
    const html = draw({ change: () => Number(word) });
    const spoken = /aria-label="[^"]*"/g;
    expect(html.replace(spoken, '').match(/ [a-z0-9-]+="[^"]*(?:NaN|Infinity)[^"]*"/g)).toBeNull();
    if (word === 'NaN') expect(html).toContain('>NaN<');
  });

  test('a norm that turns little, or is taken at the boundary, is not warned of', () => {
    expect(rhoWarning(makeCoupling({ rho: 0.29 }), '␣she − ␣he')).toBeNull();
    expect(rhoWarning(makeCoupling({ rho: -0.31 }), '␣she − ␣he')).toMatchObject({
      text: expect.stringContaining('ρ reaches .31'),
      boundary: true,
    });
    expect(rhoWarning({ ...makeCoupling(), point: 'boundary' }, '␣she − ␣he')).toBeNull();
  });

  test.each([420, 700, 900, 1340, 1600])('no drawing is wider than its place at %d px', (width) => {
    const html = draw({}, {}, 'light', width);
    const widths = [...html.matchAll(/class="m-chart-svg" width="(\d+)"/g)].map((match) => Number(match[1]));
    expect(widths).toHaveLength(2);
    expect(Math.max(...widths)).toBeLessThanOrEqual(width - 24);
  });
});

describe('names in the scatter', () => {
  const plot = { x: 0, y: 0, width: 200, height: 100 };

  test('never overlap, and are left out where there is no room', () => {
    const wanted = Array.from({ length: 12 }, (_, i) => ({ point: i, x: 100 + i, y: 50, width: 60 }));
    const placed = placeLabels(wanted, plot, [], 12);
    expect(placed.length).toBeGreaterThan(1);
    expect(placed.length).toBeLessThan(12);
    const boxes = placed.map(({ x, y, anchor }) => ({ left: anchor === 'start' ? x : x - 60, top: y - 9 }));
    boxes.forEach((a, i) => {
      for (const b of boxes.slice(i + 1))
        expect(Math.abs(a.left - b.left) >= 60 || Math.abs(a.top - b.top) >= 12).toBe(true);
      expect(a.left).toBeGreaterThanOrEqual(0);
      expect(a.left + 60).toBeLessThanOrEqual(200);
    });
  });

  test('the outermost first, each text once', () => {
    // A cloud on the diagonal, and two points across it with one text.
    const cloud = Array.from({ length: 60 }, (_, i) => [(i - 30) / 10, (i - 30) / 10 + (i % 5) / 20] as const);
    const texts = [...cloud.map((_, i) => `${i}`), 'off', 'off'];
    const order = outermost([...cloud, [1, -1], [2, -2]], texts);
    expect(order[0]).toBe(61);
    expect(order).not.toContain(60);
    expect(order).toHaveLength(61);
  });
});

describe('file and exports', () => {
  const document = makeCouplingResult();
  const shown = { document, view: initialView, theme: plainTheme('light'), width: 1340 };

  test('is read as it was written', () => {
    for (const options of [{}, { corpus: false }, { change: () => Number.NaN }]) {
      const made = makeCouplingResult(options);
      expect(resultFromJson(resultToJson(made))).toEqual(made);
    }
  });

  test.each<readonly [string, (picture: Record<string, unknown>) => void, RegExp]>([
    ['a row too few', (p) => (p.values as { C: unknown[] }).C.pop(), /has not 13 × 13 values of C/],
    [
      'a feature without a node',
      (p) => delete (p.features as Record<string, unknown>[])[0].node,
      /has no features with/,
    ],
    ['a score too few', (p) => (p.corpus as { sample: { values: unknown[][] } }).sample.values[3].pop(), /13 scores/],
    ['no density', (p) => delete (p.norms as Record<string, unknown>[])[0].density, /has a norm without/],
  ])('%s is refused', (_, change, why) => {
    const plain = JSON.parse(resultToJson(document)) as { pictures: Record<string, unknown>[] };
    change(plain.pictures[0]);
    expect(() => resultFromJson(JSON.stringify(plain))).toThrow(why);
  });

  test('CSV has every pair, and the sample every token', async () => {
    const csv = async (id: string) => {
      const message = await exportMessage(id, shown, document);
      return message.type === 'export' ? String(message.data).trim().split('\r\n') : [];
    };
    const pairs = await csv('csv:coupling');
    expect(pairs[0]).toBe('row,column,C,C transposed,cos,C_S,slope,slope s.e.,r2,cos2,tokens');
    expect(pairs).toHaveLength(1 + 169);
    expect(await csv('csv:coupling sample')).toHaveLength(1 + 900);
    expect(await csv('csv:coupling norms')).toHaveLength(1 + 4);
  });

  test.each([700, 1000, 1340])('SVG at %d px has matrix, scatter and norm within its size', async (width) => {
    const message = await exportMessage('svg', { ...shown, width }, document);
    const svg = message.type === 'export' ? String(message.data) : '';
    expect(svg).toContain('predicted by C');
    expect(svg).toContain('theorem bound 2.39°');
    expect(svg).toContain('Rows normalise');
    expect(svg).not.toMatch(/NaN|undefined/);
  });

  test('the key of the SVG says what the page says of values beyond the scale', async () => {
    const options = { corpus: false, change: (value: number) => 1.25 * Math.sign(value) };
    const message = await exportMessage('svg', { ...shown, document: makeCouplingResult(options) }, document);
    for (const html of [draw(options), message.type === 'export' ? String(message.data) : '']) {
      expect(html).toContain('Colour key: ≤ −1 to ≥ +1');
    }
  });

  test('the kept view is restored, whatever it is', () => {
    expect(restoreView({ measure: 'cos', grouping: 'node' })).toMatchObject({ measure: 'cos', grouping: 'node' });
    expect(restoreView({ measure: 'pie', grouping: 3 })).toMatchObject({ measure: 'C', grouping: 'observable' });
  });
});
