import { renderToString } from 'preact-render-to-string';
import { describe, expect, test } from 'vitest';
import { resultFromJson } from '../../../src/shared/figuresFile.ts';
import { resultToJson } from '../../../src/shared/resultJson.ts';
import { plainTheme } from '../../../src/webview/figures/theme.ts';
import { FiguresPanel } from '../../../src/webview/results/FiguresPanel.tsx';
import { exportMessage } from '../../../src/webview/results/figuresExport.tsx';
import { type FiguresView, initialView } from '../../../src/webview/results/figuresView.ts';
import { descents } from '../../../src/webview/results/pictureMatrix.ts';
import { barOf, treeColumns, treeKey, treeRows, visibleRows } from '../../../src/webview/tree/treeModel.ts';
import { makePaths, makeTree } from '../../support/treeFixture.ts';

const nothing = (): void => undefined;
const actions = Object.fromEntries(
  ['select', 'copy', 'table', 'sort', 'setView', 'exportAs', 'tell', 'act'].map((name) => [name, nothing]),
) as unknown as Parameters<typeof FiguresPanel>[0]['actions'];
const document = makePaths();
const draw = (view: Partial<FiguresView> = {}, width = 1070): string =>
  renderToString(
    <FiguresPanel
      state={{ title: 'paths.mechanist.json', document, error: null }}
      view={{ ...initialView, ...view }}
      theme={plainTheme('dark')}
      {...{ width, actions }}
    />,
  );

describe('a tree of paths', () => {
  const rows = treeRows(makeTree().lines);
  const at = (id: string) => rows[rows.findIndex(({ line }) => line.id === id)];
  const press = (key: string) => ({ key, ctrl: false, alt: false });

  test('knows what stands under what', () => {
    expect(rows.map(({ parent }) => parent)).toEqual([null, 0, 1, 2, 2, 2, 1, 1, 0, 0, 0, 0]);
    expect(rows.map(({ place, siblings }) => `${place}/${siblings}`).join(' ')).toBe(
      '1/1 1/5 1/3 1/3 2/3 3/3 2/3 3/3 2/5 3/5 4/5 5/5',
    );
    expect(rows.filter(({ hasChildren }) => hasChildren).map(({ line }) => line.depth)).toEqual([0, 1, 2]);
    const closed = new Set(['MLP 29@END']);
    expect(visibleRows(rows, closed).map(({ line }) => line.label)).toEqual([
      ...['clean − corrupted', 'MLP 29@END', 'L25.H2@name', 'L26.H2@name'],
      ...['attention that changes', 'not explained'],
    ]);
  });

  test('arrow keys read, open and close it', () => {
    const open = new Set<string>();
    const mlp = at('MLP 29@END');
    expect(treeKey(rows, mlp, open, press('ArrowDown'))).toEqual({ type: 'move', to: rows[2] });
    expect(treeKey(rows, mlp, open, press('ArrowRight'))).toEqual({ type: 'move', to: rows[2] });
    expect(treeKey(rows, mlp, open, press('ArrowLeft'))).toEqual({ type: 'close', row: mlp });
    const closed = new Set(['MLP 29@END']);
    const visible = visibleRows(rows, closed);
    expect(treeKey(visible, mlp, closed, press('ArrowRight'))).toEqual({ type: 'open', row: mlp });
    expect(treeKey(visible, mlp, closed, press('ArrowLeft'))).toEqual({ type: 'move', to: rows[0] });
    expect(treeKey(rows, rows[4], open, press('ArrowLeft'))).toEqual({ type: 'move', to: rows[2] });
    expect(treeKey(rows, rows[4], open, press('ArrowRight'))).toEqual({ type: 'move', to: rows[4] });
    expect(treeKey(rows, mlp, open, press('End'))).toEqual({ type: 'move', to: rows[11] });
    expect(treeKey(rows, rows[0], open, press('ArrowUp'))).toEqual({ type: 'move', to: rows[0] });
    expect(treeKey(rows, mlp, open, press('c'))).toEqual({ type: 'copy' });
    expect(treeKey(rows, mlp, open, { key: 'c', ctrl: true, alt: false })).toBeNull();
    expect(treeKey(rows, mlp, open, press('x'))).toBeNull();
  });

  test('draws bars about one zero, inside their width', () => {
    const bar = barOf(makeTree(), 300);
    const [positive, negative] = [bar(6.22), bar(-3.23)];
    expect(positive.zero).toBe(negative.zero);
    expect(positive.x).toBeCloseTo(positive.zero, 9);
    expect(negative.x + negative.width).toBeCloseTo(negative.zero, 9);
    expect(positive.width / negative.width).toBeCloseTo(6.22 / 3.23, 9);
    expect(negative.x).toBeGreaterThanOrEqual(0);
    expect(positive.x + positive.width).toBeLessThanOrEqual(300);
    for (const width of [360, 700, 1200]) {
      const { label, bar: own, value, interval } = treeColumns(makeTree(), width);
      expect(label + own + value + interval).toBeLessThanOrEqual(width);
    }
  });

  test('is a tree to a screen reader', () => {
    const html = draw({ selected: { tree: 'L25.H2@name' } });
    expect(html.match(/role="tree"/g)).toHaveLength(1);
    expect(html.match(/role="treeitem"/g)).toHaveLength(12);

    expect(html).toMatch(/aria-level="2" aria-setsize="5" aria-posinset="2" aria-selected="true"/);
    expect(html.match(/aria-expanded="true"/g)).toHaveLength(3);
    expect(html).toContain('MLP 29@END &lt;= L25.H2@name'.split(' ')[0]);
  });

  test('offers paths one node further down, but from the lowest layer', () => {
    const map = document.pictures.find(({ id }) => id === 'patched');
    if (map?.type !== 'matrix') throw new Error('no map');
    expect(descents(map, '26.2')).toEqual(['L26.H2@name', 'L26.H2@END', 'L26.H2']);
    const deeper = { ...map, descend: { under: 'MLP 28@END', tokens: ['name'] } };
    expect(descents(deeper, '3.0')).toEqual(['MLP 28@END <= L3.H0@name', 'MLP 28@END <= L3.H0']);
    expect(descents(map, '0.2')).toEqual([]);
    expect(descents(map, null)).toEqual([]);
    expect(descents({ ...map, descend: undefined }, '26.2')).toEqual([]);
  });

  test('comes back from its file, and refuses one without lines', () => {
    const text = resultToJson(document);
    expect(resultFromJson(text)).toEqual(document);
    expect(() => resultFromJson(text.replaceAll('"lines"', '"liens"'))).toThrow('has no lines');
  });

  test('goes into tables, CSV and SVG', async () => {
    expect(draw({ table: true })).toContain('>MLP 29@END &lt;= L25.H2@name</td>');
    const shown = { document, view: initialView, theme: plainTheme('light'), width: 1200 };
    const csv = await exportMessage('csv:tree', shown, document);
    expect(csv).toMatchObject({ format: 'csv', name: expect.stringContaining('-tree.csv') });
    const data = csv.type === 'export' ? String(csv.data) : '';
    expect(data.split(/\r?\n/)[2]).toBe('1,MLP 29@END,MLP 29@END,-3.23,-3.43,-2.93,16');
    const svg = await exportMessage('svg', shown, document);
    const drawn = svg.type === 'export' ? String(svg.data) : '';
    expect(drawn).toContain('836 weaker paths');
    expect(drawn).toContain('[−3.43, −2.93]');
    expect(drawn).not.toContain('var(--');
  });
});
