import { describe, expect, test } from 'vitest';
import { headOfCell, withCells } from '../../../src/shared/gridCells.ts';
import { tableToCsv } from '../../../src/webview/figures/csv.ts';
import { axisTicks } from '../../../src/webview/figures/DotPlot.tsx';
import { plainTheme } from '../../../src/webview/figures/theme.ts';
import { exportMessage } from '../../../src/webview/grid/gridExport.ts';
import { gridMatrix, layoutGrid } from '../../../src/webview/grid/gridMatrix.ts';
import { placeName, spokenPlace } from '../../../src/webview/grid/gridNames.ts';
import { effectSummary, largestCells, shareLowered } from '../../../src/webview/grid/gridNumbers.ts';
import { cellsTable } from '../../../src/webview/grid/gridTables.ts';
import { timeLeft } from '../../../src/webview/grid/gridText.ts';
import { adoptState, chosenIn, initialView, restoreView } from '../../../src/webview/grid/gridView.ts';
import { emptyGrid, gridState, makeCells, makeGrid } from '../../support/gridFixture.ts';

describe('the scale', () => {
  test('only grows while cells arrive, in steps of 1, 2 and 5, and starts with the first number', () => {
    const empty = emptyGrid({ n: 2 });
    const cells = makeCells(empty);
    let view = adoptState(initialView, null, gridState(empty));
    expect(view.scale?.max).toBe(0);
    let before = 0;
    for (let i = 1; i <= cells.length; i += 7) {
      view = adoptState(view, null, gridState(withCells(empty, cells.slice(0, i))));
      const max = view.scale?.max ?? 0;
      expect(max).toBeGreaterThanOrEqual(before);
      expect(['1', '2', '5']).toContain(max.toExponential()[0]);
      before = max;
    }
  });

  test('does not fall when an estimate is replaced by a smaller exact number', () => {
    const document = makeGrid({ n: 2, nLayers: 2, nHeads: 2, change: () => 9 });
    const view = adoptState(initialView, null, gridState(document));
    const cells = makeCells(document, { change: () => 0.1 });
    expect(adoptState(view, null, gridState(withCells(document, cells))).scale?.max).toBe(view.scale?.max);
  });

  test('is made anew for another result', () => {
    const view = adoptState(initialView, null, gridState(makeGrid({ change: (e) => e * 100 })));
    const next = adoptState(view, null, gridState(makeGrid({ hash: 'abcdef0' })));
    expect(next.scale?.max).toBeLessThan(view.scale?.max ?? 0);
  });

  test('is the same for this, other and difference', () => {
    const compared = { name: 'b', document: makeGrid({ seed: 9, hash: 'bbbbbbb', change: (e) => 4 * e }) };
    const state = gridState(makeGrid(), { compared });
    const of = (side: 'this' | 'other' | 'difference') => adoptState({ ...initialView, side }, state, state).scale?.max;
    expect(new Set([of('this'), of('other'), of('difference')]).size).toBe(1);
  });
});

describe('what is selected', () => {
  test('is the largest cell until somebody chooses, and results do not move the choice', () => {
    const document = makeGrid();
    const [largest] = largestCells(document);
    expect(chosenIn(document, initialView, gridState(document)).place).toEqual({
      row: largest.row,
      column: largest.column,
    });
    const view = adoptState({ ...initialView, place: { row: 3, column: 3 } }, null, gridState(document));
    expect(chosenIn(document, view, gridState(document)).place).toEqual({ row: 3, column: 3 });
  });

  test('is what was asked for: the first marked head', () => {
    const document = makeGrid();
    const marked = [
      { row: 7, column: 1 },
      { row: 2, column: 2 },
    ];
    const state = gridState(document, { marked });
    const view = adoptState({ ...initialView, place: { row: 3, column: 3 } }, gridState(document), state);
    expect(chosenIn(document, view, state).place).toEqual(marked[0]);
  });

  test('falls back when the grid does not have it', () => {
    const document = makeGrid({ nLayers: 2, nHeads: 2, n: 2 });
    const view = { ...initialView, place: { row: 9, column: 9 }, item: 5, shown: 'normalised' as const };
    const chosen = chosenIn(document, view, gridState(document));
    expect(chosen.place?.row).toBeLessThan(2);
    expect([chosen.item, chosen.shown]).toEqual([0, 'effect']);
  });

  test.each([
    null,
    3,
    'x',
    {},
    { place: { row: -1, column: 0 }, threshold: Number.NaN, item: 1.5, shown: 'all', sorts: 1 },
  ])('an odd view from an earlier page falls back: %j', (kept) => {
    expect(restoreView(kept)).toEqual(initialView);
  });
});

describe('the matrix', () => {
  const build = (document = makeGrid(), change: Partial<typeof initialView> = {}, width = 1070) => {
    const view = { ...initialView, ...change };
    const state = gridState(document);
    const layout = layoutGrid({ document, view, width, contrast: false });
    return gridMatrix(document, null, view, chosenIn(document, view, state), layout, 2);
  };

  test('has the last layer on top, or the row with the largest cell', () => {
    expect(build().rows[0].id).toBe('r29');
    const bySize = build(makeGrid(), { order: 'size' });
    expect(bySize.rows[0].id).toBe(`r${largestCells(makeGrid())[0].row}`);
    expect([...bySize.rows.map(({ id }) => id)].sort()).toEqual([...build().rows.map(({ id }) => id)].sort());
  });

  test('colours by the change whatever number is printed', () => {
    const [change, value] = [build(), build(makeGrid(), { shown: 'value' })];
    expect(value.rows.map(({ cells }) => cells.map((cell) => cell?.value))).toEqual(
      change.rows.map(({ cells }) => cells.map((cell) => cell?.value)),
    );
    expect(value.rows[0].cells[0]?.text).toMatch(/^[+−]\d\.\d\d$/);
  });

  test('folds one row of very many columns', () => {
    const folded = build(makeGrid({ kind: 'neurons', n: 2 }));
    expect(folded.rows).toHaveLength(7);
    expect(folded.columns).toHaveLength(32);
    expect(folded.rows[6].cells.filter((cell) => cell !== undefined)).toHaveLength(8);
    expect(folded.rows[1].cells[2]?.name).toBe('L3.N34');
  });

  test.each([420, 600, 800, 1000, 1600])('fits into a panel of %d px', (width) => {
    const document = makeGrid({ nLayers: 12, nHeads: 12 });
    const layout = layoutGrid({ document, view: initialView, width, contrast: false });
    expect(layout.labelWidth + layout.cellWidth * 12).toBeLessThanOrEqual(layout.figureWidth);
  });
});

describe('numbers', () => {
  test('an interval is that of the paired differences, and the same each time', () => {
    const document = makeGrid();
    const [cell] = largestCells(document);
    const summary = effectSummary(document, cell);
    expect(summary?.mean).toBeCloseTo(cell.effect, 5);
    expect(summary?.interval?.low).toBeLessThanOrEqual(cell.effect);
    expect(summary?.interval?.high).toBeGreaterThanOrEqual(cell.effect);
    expect(effectSummary(document, cell)).toBe(summary);
    expect(effectSummary(makeGrid({ done: 0 }), cell)).toBeNull();
  });

  test('share of prompts lowered', () => {
    const document = makeGrid({ n: 4, change: (_, __, ___, item) => (item === 0 ? 1 : -1) });
    expect(shareLowered(document, { row: 0, column: 0 })).toBe(0.75);
  });

  test('the table has every cell with its interval; missing ones stay empty', () => {
    const table = cellsTable(makeGrid({ done: 20 }), null);
    expect(table.rows).toHaveLength(270);
    const csv = tableToCsv(table).split('\r\n');
    expect(csv[0]).toBe('cell,layer,head,value,effect,low,high,run');
    expect(csv[1]).toMatch(/^L0\.H0,L0,H0,[\d.-]+,[\d.-]+,[\d.-]+,[\d.-]+,exact$/);
    expect(csv[25]).toMatch(/^L2\.H6,L2,H6,,,,,not run$/);
  });

  test.each([
    [102, '1:42 left'],
    [0.4, '0:00 left'],
    [3723, '1:02:03 left'],
  ])('%d s are %s', (seconds, text) => expect(timeLeft(seconds)).toBe(text));

  test('an axis has ticks of 1, 2 or 5 around its values, and 0 where it is near', () => {
    expect(axisTicks([3.1, 5.9])[0]).toBe(0);
    expect(axisTicks([100, 101])[0]).toBeGreaterThan(90);
    expect(axisTicks([-2, 2])).toContain(0);
    expect(axisTicks([])).toEqual([0, 1]);
    expect(axisTicks([5, 5]).length).toBeGreaterThan(1);
  });
});

describe('exports', () => {
  const shown = (document = makeGrid({ nLayers: 4, nHeads: 4 })) => ({
    document,
    state: gridState(document),
    view: initialView,
    theme: plainTheme('dark'),
    width: 1070,
  });
  const dataOf = async (id: string, document = makeGrid({ nLayers: 4, nHeads: 4 })): Promise<string> => {
    const message = await exportMessage(id, shown(document));
    return message.type === 'export' ? String(message.data) : message.type === 'copy' ? message.text : '';
  };

  test('an SVG is a file of its own: title, no variables, cells and dots', async () => {
    const svg = await dataOf('svg');
    expect(svg).toMatch(/^<\?xml.*\n<svg/);
    expect(svg).toContain('matters most');
    expect(svg).not.toContain('var(');
    expect(svg).not.toContain('NaN"');
  });

  test('JSON is the file that opens again', async () => {
    const { gridFromJson } = await import('../../../src/shared/gridFile.ts');
    const document = makeGrid({ nLayers: 4, nHeads: 4, done: 5 });
    expect(gridFromJson(await dataOf('json', document))).toEqual(document);
  });

  test('a report has every number and says what it is made of', async () => {
    const html = await dataOf('html');
    expect(html.split('<tr').length).toBeGreaterThan(16 + 16);
    expect(html).toContain('sha256 of the weights');
    expect(html).not.toContain('<script');
  });

  test('CSV of prompts, and a citation', async () => {
    expect((await dataOf('csv-prompts')).split('\r\n')[0]).toBe('n,id,prompt,answer,foils,clean,after');
    expect(await dataOf('citation')).toContain('forward passes');
    await expect(exportMessage('csv-prompts', shown(emptyGrid()))).rejects.toThrow('Select a cell');
  });
});

describe('names', () => {
  const named = (columns: { name: string; labels: string[] }) => {
    const document = makeGrid({ kind: 'patch', nLayers: 2, n: 1 });
    return { ...document, axes: { ...document.axes, columns } };
  };

  test('of cells say what their column is', () => {
    expect(placeName(named({ name: 'key-value head', labels: ['H0', 'H1'] }), { row: 1, column: 1 })).toBe('L1.H1');
    expect(placeName(named({ name: 'position', labels: ['all positions'] }), { row: 1, column: 0 })).toBe(
      'L1 resid_pre',
    );
    expect(placeName(named({ name: 'position', labels: ['When', '␣Mary'] }), { row: 1, column: 1 })).toBe(
      'L1 at ␣Mary',
    );
    expect(placeName(makeGrid({ kind: 'mlps', n: 1 }), { row: 26, column: 0 })).toBe('MLP 26');
  });

  test('only query heads have an attention pattern to read', () => {
    expect(headOfCell(makeGrid({ n: 1 }), 3, 1)).toEqual({ layer: 3, head: 1 });
    expect(headOfCell(named({ name: 'key-value head', labels: ['H0'] }), 0, 0)).toBeNull();
    expect(headOfCell(makeGrid({ n: 1, kind: 'patch' }), 0, 0)).toBeNull();
  });

  test('a head by position is called by both, and its pattern can be read', () => {
    const document = makeGrid({ n: 1, kind: 'heads-by-position' });
    expect(headOfCell(document, 1, 6)).toEqual({ layer: 9, head: 9 });
    expect(placeName(document, { row: 1, column: 6 })).toBe('L9.H9 at ␣John');
    expect(spokenPlace(document, { row: 1, column: 6 })).toBe('layer 9 head 9 position 7 space John');
    const view = { ...initialView, order: 'layer' as const };
    const layout = layoutGrid({ document, view, width: 900, contrast: false });
    const chosen = chosenIn(document, view, { marked: [], compared: null });
    const { rows } = gridMatrix(document, null, view, chosen, layout, 1);
    expect(rows.map(({ label }) => label)).toEqual(['L9.H6', 'L9.H9', 'L10.H0']);
  });
});
