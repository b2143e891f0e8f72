import { renderToString } from 'preact-render-to-string';
import { describe, expect, test } from 'vitest';
import type { CircuitFile } from '../../../src/shared/circuit.ts';
import type { CircuitPanelState } from '../../../src/shared/circuitPanelProtocol.ts';
import type { ThemeKind } from '../../../src/shared/palette.ts';
import { CircuitPanel } from '../../../src/webview/circuit/CircuitPanel.tsx';
import { exportMessage } from '../../../src/webview/circuit/circuitExport.tsx';
import { type CircuitView, initialView, restoreView, zoomBy } from '../../../src/webview/circuit/circuitView.ts';
import { diagramKey } from '../../../src/webview/circuit/diagramKeys.ts';
import { layoutDiagram } from '../../../src/webview/circuit/diagramLayout.ts';
import type { DiagramInput } from '../../../src/webview/circuit/diagramTypes.ts';
import { plainTheme } from '../../../src/webview/figures/theme.ts';
import { acronymSetting, circuitState, edgeCircuit } from '../../support/circuitFixture.ts';
import { makeCircuit, makeEvaluation } from '../../support/figuresFixture.ts';

const nothing = (): void => undefined;
const actions = {
  select: nothing,
  copy: nothing,
  table: nothing,
  sort: nothing,
  setView: nothing,
  edit: nothing,
  score: nothing,
  ask: nothing,
  exportAs: nothing,
  tell: nothing,
};

const draw = (
  state: CircuitPanelState,
  view: Partial<CircuitView> = {},
  kind: ThemeKind = 'dark',
  width = 1440,
): string =>
  renderToString(
    <CircuitPanel
      state={state}
      view={{ ...initialView, ...view }}
      theme={plainTheme(kind)}
      width={width}
      actions={actions}
    />,
  );

const layoutOf = (circuit: CircuitFile, change: Partial<DiagramInput> = {}) =>
  layoutDiagram({
    circuit,
    setting: acronymSetting,
    columns: 'positions',
    group: null,
    threshold: null,
    answer: 'all',
    reads: circuitState().reads,
    effects: new Map(circuit.nodes.map(({ node, effect = 0.1 }) => [node, effect])),
    width: 900,
    ...change,
  });

const count = (html: string, part: string): number => html.split(part).length - 1;

describe('snapshots of the drawing', () => {
  const tree = (html: string): string =>
    html.slice(
      html.lastIndexOf('<svg', html.indexOf('role="tree"')),
      html.indexOf('</svg>', html.indexOf('role="tree"')) + 6,
    );
  const negative = makeCircuit({ nodes: makeCircuit().nodes.map((node) => ({ ...node, effect: -0.5 })) });
  const bare = { evaluation: null, gains: [], detail: null };
  test.each<readonly [string, CircuitPanelState, Partial<CircuitView>]>([
    ['the acronym circuit', circuitState(), { answer: 2 }],
    ['all negative', circuitState({ ...bare, circuit: negative }), {}],
    [
      'no effects known',
      circuitState({ ...bare, circuit: makeCircuit({ nodes: [{ node: 'L3.H1' }] }), reads: [] }),
      {},
    ],
    [
      'NaN',
      circuitState({ ...bare, circuit: makeCircuit({ nodes: [{ node: 'L3.H1', effect: Number.NaN }] }), reads: [] }),
      {},
    ],
    ['empty', circuitState({ ...bare, circuit: makeCircuit({ nodes: [] }) }), {}],
    ['edges', circuitState({ ...bare, circuit: edgeCircuit(5) }), { columns: 'roles' }],
  ])('%s', (_, state, view) => {
    const drawing = tree(draw(state, view));
    expect(drawing.replaceAll(/aria-label="[^"]*"/g, '')).not.toMatch(/="[^"]*(?:NaN|Infinity)/);
    expect(drawing).toMatchSnapshot();
  });
  test('high contrast', () => {
    expect(tree(draw(circuitState(), {}, 'highContrastLight'))).toMatchSnapshot();
  });
});

describe('the layout', () => {
  const acronyms = makeCircuit();
  test('layers run upward, positions to the right', () => {
    const { layers, columns, boxes } = layoutOf(acronyms);
    expect(layers.map(({ layer }) => layer)).toEqual([11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
    for (const [i, column] of columns.entries()) if (i > 0) expect(column.x).toBeGreaterThan(columns[i - 1].x);
    const y = (id: string) => boxes.find((box) => box.id === id)?.y ?? 0;
    expect(y('L11.H4')).toBeLessThan(y('L10.H10'));
    expect(y('L2.H2')).toBeLessThan(y('L1.H0'));
  });
  test('a node stands at the place it names, else where the answer is read', () => {
    const { boxes, columns } = layoutOf({
      ...acronyms,
      nodes: [{ node: 'L1.H0', at: ['T2'] }, { node: 'L2.H2', at: ['3'] }, { node: 'L3.H3' }],
    });
    expect(boxes.map(({ column }) => columns[column].role)).toEqual(['T2', 'T1', 'A2']);
  });
  test('boxes never cover each other', () => {
    for (const circuit of [acronyms, edgeCircuit(40), edgeCircuit(90)]) {
      const { boxes } = layoutOf(circuit, { group: 'none' });
      for (const [i, a] of boxes.entries())
        for (const b of boxes.slice(i + 1))
          expect(Math.abs(a.x - b.x) >= 62 || Math.abs(a.y - b.y) >= 21, `${a.id} ${b.id}`).toBe(true);
    }
  });
  test('over 60 nodes are put together by layer; edges under a threshold are counted', () => {
    const many = edgeCircuit(90);
    const { boxes, wires, hidden } = layoutOf(many);
    expect(boxes.length).toBeLessThan(60);
    expect(boxes.flatMap(({ members }) => members)).toHaveLength(90);
    expect(wires.length).toBeLessThanOrEqual(150);
    expect(hidden.count).toBeGreaterThan(0);
    const all = layoutOf(many, { threshold: 0 });
    expect(all.hidden.count).toBe(0);
    expect(all.wires).toHaveLength(wires.length + hidden.count);
    for (const { effect } of wires) expect(Math.abs(effect ?? 0)).toBeGreaterThanOrEqual(hidden.below);
  });
  test('deep models leave little room to layers without nodes', () => {
    const deep = { ...acronymSetting, nLayers: 30 };
    expect(layoutOf(acronyms, { setting: deep }).height).toBeLessThan(800);
  });
  test('roles as columns leave positions without one out', () => {
    const setting = {
      ...acronymSetting,
      columns: acronymSetting.columns.map((column, i) => (i < 2 ? { ...column, role: null } : column)),
    };
    expect(layoutOf(acronyms, { setting, columns: 'roles' }).columns).toHaveLength(9);
    expect(layoutOf(acronyms, { setting, columns: 'positions' }).columns).toHaveLength(11);
  });
});

describe('the keyboard', () => {
  const layout = layoutOf(makeCircuit());
  const press = (id: string, key: string, more = {}) => {
    const box = layout.boxes.find((one) => one.id === id);
    if (!box) throw new Error(id);
    return diagramKey(layout, box, { key, ctrl: false, alt: false, shift: false, ...more });
  };
  test('arrows follow edges, else go to the nearest node', () => {
    expect(press('L5.H8', 'ArrowDown')).toEqual({ type: 'move', to: 'L4.H11' });
    expect(press('L4.H11', 'ArrowUp')).toEqual({ type: 'move', to: 'L5.H8' });
    expect(press('L1.H0', 'ArrowUp')).toEqual({ type: 'move', to: 'L2.H2' });
    expect(press('L8.H11', 'ArrowUp')).toEqual({ type: 'move', to: 'L9.H9' });
  });
  test('Tab and Ctrl+Z go on to the page', () => {
    expect(press('L8.H11', 'Tab')).toBeNull();
    expect(press('L8.H11', 'z', { ctrl: true })).toBeNull();
  });
  test('the rest', () => {
    expect(press('L8.H11', 'Delete')).toEqual({ type: 'remove' });
    expect(press('L8.H11', 'Insert')).toEqual({ type: 'add' });
    expect(press('L8.H11', 'r')).toEqual({ type: 'role' });
    expect(press('L8.H11', 'F2')).toEqual({ type: 'label' });
    expect(press('L8.H11', '0')).toEqual({ type: 'zoom', step: 0 });
    expect(press('L8.H11', 'ArrowUp', { shift: true })).toMatchObject({ type: 'pan' });
    expect([zoomBy(1, 1), zoomBy(2, 1), zoomBy(0.5, -1), zoomBy(1.5, 0)]).toEqual([1.25, 2, 0.5, 1]);
  });
});

describe('what it says', () => {
  test('the title is the finding with the null beside it', () => {
    expect(draw(circuitState(), { answer: 2 })).toMatch(/<h1>8 of 144 heads: faithfulness 1\.05, random \.0\d<\/h1>/);
    expect(draw(circuitState({ freshness: 'old' }))).toContain(
      '<h1>8 of 144 heads: faithfulness updating, was 1.05</h1>',
    );
    expect(draw(circuitState({ evaluation: null }))).toContain('<h1>acronyms: 8 of 144 heads</h1>');
  });
  test('what stands in is named; the null, the complement and minimality are in sight', () => {
    const html = draw(circuitState());
    for (const text of [
      'mean ablation over the corruption permuted',
      'complement alone',
      'Above 200 of 200 random circuits',
      'is missed most',
      'random orders',
    ])
      expect(html).toContain(text);
  });
  test('the selected head: role, links, effect of its removal', () => {
    const html = draw(circuitState(), { node: 'L8.H11', answer: 2 });
    expect(html).toContain('Removing it: +3.62 → +0.900 logits, faithfulness 1.05 → .43');
    expect(html).toContain('Remove From Circuit');
    expect(html).toContain('reads from');
    expect(html).toContain('L8.H11 reads C3 at letter 3');
    const outside = draw(circuitState(), { node: 'L7.H10' });
    expect(outside).toContain('Adding it: −0.250 logits');
    expect(outside).toContain('Add to Circuit');
  });
  test('nodes have names that say role, place and links', () => {
    expect(draw(circuitState(), { answer: 2 })).toContain(
      'aria-label="layer 8 head 11, +2.72 logits, letter mover at A2, reads from C3, writes to the logits"',
    );
  });
  test('parts that have not come say so', () => {
    const evaluation = makeEvaluation();
    const partial = {
      ...evaluation,
      random: { ...evaluation.random, overall: [], answers: [] },
      addBack: { ...evaluation.addBack, given: [] },
    };
    expect(count(draw(circuitState({ evaluation: partial, freshness: 'filling' })), 'Computing…')).toBe(2);
  });
  test('broken text, other weights, an error: a line each, with what to do', () => {
    const faults = [
      { line: 12, column: 40, severity: 'error', message: 'There is a comma after the last entry. Delete it.' },
    ] as const;
    const html = draw(circuitState({ faults }));
    expect(html).toContain('Line 12, column 40: There is a comma');
    expect(html).toContain('Open as Text');
    expect(html).toContain('role="tree"');
    const other = draw(
      circuitState({ evaluation: null, otherModel: { expected: 'f'.repeat(64), found: 'b'.repeat(64) } }),
    );
    expect(other).toContain('made with other weights (#fffffff, here #bbbbbbb)');
    expect(other).toContain('Go On');
    expect(draw(circuitState({ error: 'No such data.' }))).toContain('Try Again');
    expect(draw(circuitState({ setting: null, evaluation: null }))).toContain('Choose Data');
    expect(draw({ ...circuitState(), circuit: null, faults })).toContain('Line 12');
    expect(draw({ ...circuitState(), circuit: null, foreign: true })).toContain('Make It a Circuit');
  });
  test('sign is never colour alone', () => {
    const html = draw(circuitState({ circuit: edgeCircuit(), evaluation: null }));
    const lines = [...html.matchAll(/<line [^>]*stroke="#e88a24"[^>]*>/g)];
    expect(lines.length).toBeGreaterThan(3);
    for (const [line] of lines) expect(line).toContain('stroke-dasharray');
  });
  test('the table has every number', () => {
    const html = draw(circuitState(), { table: true });
    for (const text of ['loss when removed, logits', 'Completeness', 'By answer', 'this circuit'])
      expect(html).toContain(text);
  });
});

describe('exports', () => {
  const circuit = makeCircuit();
  const shown = {
    state: circuitState(),
    circuit,
    setting: acronymSetting,
    view: initialView,
    answer: 'all',
    theme: plainTheme('dark'),
    width: 1200,
  } as const;
  test.each(['svg', 'csv', 'json', 'html'])('%s', async (id) => {
    const message = await exportMessage(id, shown);
    const data = message.type === 'export' ? String(message.data) : '';
    if (id === 'svg') expect(count(data, '<text')).toBeGreaterThan(60);
    if (id === 'csv') expect(data.trimEnd().split('\r\n')).toHaveLength(9);
    if (id === 'json') expect(JSON.parse(data).kind).toBe('circuit-evaluation');
    if (id === 'html') expect(data).toContain('random circuits');
    expect(data).not.toContain('var(--');
  });
  test('nothing to export yet is said', async () => {
    await expect(exportMessage('json', { ...shown, state: circuitState({ evaluation: null }) })).rejects.toThrow(
      /no numbers yet/,
    );
  });
  test('a kept view that is odd falls back', () => {
    expect(restoreView({ zoom: 9, answer: -1, columns: 'x', group: 3, threshold: 7 })).toEqual(initialView);
    expect(restoreView({ zoom: 1.5, answer: 2, columns: 'roles', group: 'layer', threshold: 0.2 })).toMatchObject({
      zoom: 1.5,
      answer: 2,
      columns: 'roles',
      group: 'layer',
      threshold: 0.2,
    });
  });
});
