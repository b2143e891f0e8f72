import { describe, expect, test } from 'vitest';
import {
  baseline,
  cellItems,
  cellsOf,
  doneCount,
  gridDifference,
  gridEffects,
  itemEffects,
  wholeEffect,
  withCells,
} from '../../../src/shared/gridCells.ts';
import type { GridDocument } from '../../../src/shared/gridDocument.ts';
import { gridFromJson, gridToJson } from '../../../src/shared/gridFile.ts';
import { emptyGrid, makeCells, makeGrid } from '../../support/gridFixture.ts';

describe('cells', () => {
  test('fill a document: means over items, complete with the last one', () => {
    const empty = emptyGrid({ nLayers: 2, nHeads: 2, n: 3 });
    expect(doneCount(empty)).toBe(0);
    const one = withCells(empty, [{ row: 1, column: 0, byItem: [1, 2, 6], exact: true }]);
    expect(one.values).toEqual([
      [null, null],
      [3, null],
    ]);
    expect([...cellItems(one, 1, 0)]).toEqual([1, 2, 6]);
    expect(cellItems(one, 0, 0)).toHaveLength(0);
    expect(one.complete).toBe(false);
    expect(one.exact[1][0]).toBe(true);
    // The document before is not touched: a panel may still draw it.
    expect(doneCount(empty)).toBe(0);
    const all = withCells(
      one,
      [0, 1, 3].map((i) => ({ row: i >> 1, column: i & 1, byItem: [0, 0, 0], exact: true })),
    );
    expect(all.complete).toBe(true);
  });

  test('in any order and in any portions give the same document', () => {
    const empty = emptyGrid({ nLayers: 4, nHeads: 3, n: 5 });
    const cells = makeCells(empty);
    const whole = withCells(empty, cells);
    const backward = [...cells].reverse().reduce((document, cell) => withCells(document, [cell]), empty);
    expect(backward).toEqual(whole);
    expect(withCells(empty, cellsOf(whole))).toEqual(whole);
  });

  test('that do not belong to the grid are left out', () => {
    const empty = emptyGrid({ nLayers: 2, nHeads: 2, n: 2 });
    const wrong = [
      { row: 2, column: 0, byItem: [1, 1], exact: true },
      { row: 0, column: -1, byItem: [1, 1], exact: true },
      { row: 0, column: 0, byItem: [1], exact: true },
    ];
    expect(withCells(empty, wrong)).toBe(empty);
  });

  test('with NaN are run and not a number', () => {
    const empty = emptyGrid({ nLayers: 1, nHeads: 2, n: 2 });
    const document = withCells(empty, [{ row: 0, column: 0, byItem: [1, Number.NaN], exact: true }]);
    expect(document.values[0][0]).toBeNaN();
    expect(doneCount(document)).toBe(1);
  });
});

describe('effects', () => {
  test('are measured from the clean run, and for denoising from the corrupted one', () => {
    expect(baseline(makeGrid())).toBe('clean');
    expect(baseline(makeGrid({ kind: 'patch' }))).toBe('corrupted');
    expect(baseline(makeGrid({ kind: 'patch', direction: 'noising' }))).toBe('clean');
    const document = makeGrid({ kind: 'patch' });
    const [value] = document.values[3];
    expect(gridEffects(document)[3][0]).toBe((value ?? 0) - (document.corrupted?.mean ?? 0));
    expect(wholeEffect(document)).toBeCloseTo(document.clean.mean - (document.corrupted?.mean ?? 0));
  });

  test('by item have the mean of the cell', () => {
    const document = makeGrid({ n: 7 });
    const items = itemEffects(document, 2, 4);
    expect(items.reduce((a, b) => a + b, 0) / items.length).toBeCloseTo(gridEffects(document)[2][4] ?? 0, 5);
  });
});

describe('the difference of two results', () => {
  test('is that of their effects; with itself it is 0', () => {
    const a = makeGrid({ seed: 5 });
    const b = makeGrid({ seed: 8 });
    const difference = gridDifference(a, b);
    expect(difference.kind === 'difference' && difference.values[1][2]).toBeCloseTo(
      (gridEffects(a)[1][2] ?? 0) - (gridEffects(b)[1][2] ?? 0),
    );
    const none = gridDifference(a, a);
    expect(none.kind === 'difference' && none.values.flat().every((value) => value === 0)).toBe(true);
  });

  test('is missing where one of them is', () => {
    const difference = gridDifference(makeGrid({ done: 4 }), makeGrid());
    expect(difference.kind === 'difference' && difference.values.flat().filter((v) => v !== null)).toHaveLength(4);
  });

  test.each<readonly [string, GridDocument, RegExp]>([
    ['other columns', makeGrid({ kind: 'patch' }), /columns are positions, not heads/],
    ['more heads', makeGrid({ nHeads: 12 }), /12 heads, not 9/],
    ['more layers', makeGrid({ nLayers: 12 }), /12 layers, not 30/],
    ['another unit', { ...makeGrid(), metric: { ...makeGrid().metric, unit: 'nats' } }, /counts nats, not logits/],
  ])('is refused in words: %s', (_, other, why) => {
    const difference = gridDifference(makeGrid(), other);
    expect(difference.kind === 'refused' && difference.why).toMatch(why);
  });
});

describe('the file of a result', () => {
  test.each([
    ['whole', makeGrid()],
    ['partial', makeGrid({ done: 17 })],
    ['patching', makeGrid({ kind: 'patch' })],
    ['with NaN and infinities', makeGrid({ change: (_, row) => [Number.NaN, Number.POSITIVE_INFINITY, 1][row % 3] })],
  ])('gives the document back: %s', (_, document) => {
    expect(gridFromJson(gridToJson(document))).toEqual(document);
  });

  const good = JSON.parse(gridToJson(makeGrid({ nLayers: 2, nHeads: 2, n: 2 }))) as Record<string, unknown>;
  test.each<readonly [string, unknown, RegExp]>([
    ['not JSON', '{', /not JSON/],
    ['a list', [], /does not hold an object/],
    ['no version', {}, /schemaVersion is missing/],
    ['a newer version', { ...good, schemaVersion: 2 }, /newer Mechanist.*Update/],
    ['a trace', { ...good, kind: 'trace' }, /kind is "trace"/],
    ['no request', { ...good, request: undefined }, /request is missing/],
    ['no axes', { ...good, axes: {} }, /axes.rows/],
    ['values of another shape', { ...good, values: [[1, 2]] }, /values has not 2 rows/],
    [
      'a word in values',
      {
        ...good,
        values: [
          [1, 'x'],
          [1, 1],
        ],
      },
      /values has no number in row 1, column 2/,
    ],
    ['byItem too short', { ...good, byItem: { data: [1] } }, /byItem has not 8 numbers/],
    ['clean without items', { ...good, clean: { mean: 1, byItem: [1] } }, /clean has not one number for each of 2/],
    ['items without tokens', { ...good, items: [{ prompt: 'a' }] }, /items is not the list/],
  ])('is refused in words: %s', (_, value, why) => {
    expect(() => gridFromJson(typeof value === 'string' ? value : JSON.stringify(value))).toThrow(why);
  });
});
