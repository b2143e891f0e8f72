import { describe, expect, test } from 'vitest';
import { listKey } from '../../../src/webview/figures/Menu.tsx';
import { matrixKey } from '../../../src/webview/figures/matrixKeyboard.ts';
import type { MatrixCell, MatrixModel } from '../../../src/webview/figures/matrixModel.ts';
import { findCell, geometryOf, nearestCell } from '../../../src/webview/figures/matrixModel.ts';
import { stripKey } from '../../../src/webview/figures/TokenStrip.tsx';

const cell = (id: string, value: number | null, span?: number): MatrixCell => ({
  id,
  value,
  name: id,
  spoken: id,
  span,
});

/** Eight rows of three cells and a bar; the last row is one cell over three columns. */
const model: MatrixModel = {
  id: 'm',
  title: 'M',
  unit: 'logits',
  scale: 'diverging',
  max: 1,
  columns: [0, 1, 2, 3].map((c) => ({ label: '', kind: c === 3 ? 'bar' : 'cell', width: 20, gap: 0 })),
  rows: [
    ...Array.from({ length: 7 }, (_, r) => ({
      id: `r${r}`,
      label: '',
      gap: 0,
      cells: [0, 1, 2, 3].map((c) => cell(`${r}.${c}`, c === 3 ? 99 : (r + 1) * (c + 1) * (c === 1 ? -1 : 1))),
    })),
    { id: 'r7', label: '', gap: 4, cells: [cell('emb', 0.5, 3), undefined, undefined, cell('7.3', 0)] },
  ],
  rowHeight: 10,
  headHeight: 10,
  labelWidth: 0,
};

const press = (at: string, key: string, ctrl = false, alt = false): string => {
  const from = findCell(model, at);
  if (from === null) throw new Error(`no cell ${at}`);
  const action = matrixKey(model, from, { key, ctrl, alt });
  if (action === null) return 'none';
  return action.type === 'move' ? (model.rows[action.to.row].cells[action.to.col]?.id ?? 'hole') : action.type;
};

describe('keys of a matrix', () => {
  test.each([
    ['0.0', 'ArrowRight', '0.1'],
    ['0.0', 'ArrowLeft', '0.0'],
    ['0.0', 'ArrowUp', '0.0'],
    ['0.0', 'ArrowDown', '1.0'],
    ['0.3', 'ArrowRight', '0.3'],
    ['3.2', 'Home', '3.0'],
    ['3.2', 'End', '3.3'],
    ['0.1', 'PageDown', '5.1'],
    ['6.1', 'PageUp', '1.1'],
    // Into, along and out of the cell that spans columns.
    ['6.2', 'ArrowDown', 'emb'],
    ['emb', 'ArrowRight', '7.3'],
    ['7.3', 'ArrowLeft', 'emb'],
    ['4.1', 'PageDown', 'emb'],
    ['6.3', 'ArrowDown', '7.3'],
  ])('%s %s → %s', (at, key, to) => {
    expect(press(at, key)).toBe(to);
  });

  test('Ctrl+Home and Ctrl+End go to the corners', () => {
    expect(press('3.1', 'Home', true)).toBe('0.0');
    expect(press('3.1', 'End', true)).toBe('7.3');
  });

  test('n and p go by size, bars left out', () => {
    // |value| is (row + 1) · (column + 1): 21 is the largest, then 18.
    expect(press('6.2', 'n')).toBe('5.2');
    expect(press('5.2', 'p')).toBe('6.2');
    expect(press('6.2', 'p')).toBe('6.2');
    expect(press('emb', 'n')).toBe('emb');
  });

  test.each([
    ['Enter', 'open'],
    [' ', 'pin'],
    ['t', 'table'],
    ['c', 'copy'],
    ['?', 'keys'],
    ['Escape', 'dismiss'],
    ['x', 'none'],
    ['Tab', 'none'],
  ])('%s does %s', (key, what) => {
    expect(press('0.0', key)).toBe(what);
  });

  test('Ctrl+C and Alt+arrows are left to the page', () => {
    expect(press('0.0', 'c', true)).toBe('none');
    expect(press('0.0', 'ArrowDown', false, true)).toBe('none');
  });
});

describe('pointing at a matrix', () => {
  const geometry = geometryOf(model);
  test('the cell under the pointer, or the nearest within 6 px', () => {
    expect(nearestCell(model, geometry, 25, 15)).toEqual({ row: 0, col: 1 });
    expect(nearestCell(model, geometry, 45, 85)).toEqual({ row: 7, col: 0 });
    expect(nearestCell(model, geometry, -3, 15)).toEqual({ row: 0, col: 0 });
    expect(nearestCell(model, geometry, -30, 15)).toBeNull();
  });
});

describe('keys of the strip and of menus', () => {
  const tokens = [0.1, -0.9, 0.5].map((value, position) => ({ position, text: 'a', value }));
  test.each([
    ['ArrowRight', 0, 1],
    ['ArrowRight', 2, 2],
    ['ArrowLeft', 0, 0],
    ['End', 0, 2],
    ['Home', 2, 0],
    ['n', 1, 2],
    ['p', 2, 1],
    ['n', 0, 0],
    ['x', 0, null],
  ])('strip: %s at %d → %s', (key, at, to) => {
    expect(stripKey(key, at, tokens)).toBe(to);
  });

  test('an empty strip has no keys', () => {
    expect(stripKey('End', 0, [])).toBeNull();
  });

  test.each([
    ['ArrowDown', 2, 0],
    ['ArrowUp', 0, 2],
    ['Home', 1, 0],
    ['End', 1, 2],
    ['a', 1, null],
  ])('menu of three: %s at %d → %s', (key, at, to) => {
    expect(listKey(key, at, 3)).toBe(to);
  });
});
