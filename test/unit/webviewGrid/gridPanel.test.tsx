import { renderToString } from 'preact-render-to-string';
import { describe, expect, test } from 'vitest';
import type { GridDocument } from '../../../src/shared/gridDocument.ts';
import type { GridPanelState } from '../../../src/shared/gridPanelProtocol.ts';
import type { ThemeKind } from '../../../src/shared/palette.ts';
import { plainTheme } from '../../../src/webview/figures/theme.ts';
import { GridPanel } from '../../../src/webview/grid/GridPanel.tsx';
import { adoptState, type GridView, initialView } from '../../../src/webview/grid/gridView.ts';
import { type GridFixture, gridState, makeGrid } from '../../support/gridFixture.ts';
import { makeHead, makeTrace } from '../../support/traceFixture.ts';

const nothing = (): void => undefined;
const actions = {
  select: nothing,
  selectItem: nothing,
  openItem: nothing,
  setView: nothing,
  sort: nothing,
  copy: nothing,
  exportAs: nothing,
  tell: nothing,
};

const draw = (state: GridPanelState, change: Partial<GridView> = {}, kind: ThemeKind = 'dark', width = 1070): string =>
  renderToString(
    <GridPanel
      state={state}
      view={adoptState({ ...initialView, ...change }, null, state)}
      theme={plainTheme(kind)}
      width={width}
      actions={actions}
    />,
  );

/** Small enough to be read in a snapshot. */
const small = (options: GridFixture = {}): GridDocument => makeGrid({ nLayers: 3, nHeads: 2, n: 4, ...options });

const count = (html: string, part: string): number => html.split(part).length - 1;

describe('snapshots', () => {
  test.each<readonly [string, GridPanelState, Partial<GridView>]>([
    ['ordinary', gridState(small()), {}],
    ['all negative', gridState(small({ change: (effect) => -Math.abs(effect) - 0.01 })), {}],
    ['constant', gridState(small({ change: () => 0.25 })), {}],
    ['zero', gridState(small({ change: () => 0 })), {}],
    ['NaN', gridState(small({ change: (effect, row) => (row === 1 ? Number.NaN : effect) })), {}],
    ['nothing run yet', gridState(small({ done: 0 })), {}],
    ['partial', gridState(small({ done: 3 })), {}],
    ['one prompt', gridState(small({ n: 1 })), {}],
    ['patching', gridState(small({ kind: 'patch', nLayers: 2 })), { shown: 'normalised' }],
    ['tables', gridState(small()), { table: true }],
  ])('%s', (_, state, view) => {
    expect(draw(state, view)).toMatchSnapshot();
  });

  test('high contrast', () => {
    expect(draw(gridState(small({ method: 'screened' })), {}, 'highContrastLight')).toMatchSnapshot();
  });
});

describe('what it says', () => {
  test('the title is the finding', () => {
    expect(draw(gridState(makeGrid()))).toMatch(/<h1>L\d+\.H\d matters most: [+−][\d.]+ of \+[\d.]+ logits<\/h1>/);
    expect(draw(gridState(makeGrid({ done: 40 })))).toMatch(/<h1>So far L\d/);
    expect(draw(gridState(makeGrid({ kind: 'patch' })))).toMatch(/<h1>L\d+ at \S+ restores most/);
    expect(draw(gridState(small({ change: () => 0 })))).toContain('<h1>No head changes Logit difference');
    expect(draw(gridState(small({ done: 0 })))).toContain('nothing run yet</h1>');
  });

  test('all below noise: the title and a line say so', () => {
    const noise = [1, -1.1, 0.9, -0.8];
    const html = draw(gridState(small({ change: (_, row, column, item) => noise[item] + 0.01 * (row + column) })));
    expect(html).toContain('beyond noise; largest');
    expect(html).toContain('Every change may be chance');
  });

  test('the subtitle has its parts in order', () => {
    const html = draw(gridState(makeGrid()));
    expect(html).toMatch(
      /Logit difference.*at the last position, ablated − clean · n = 16 prompts · z of each head.* · smollm2-135m Q4_1, no patches · #3f9a1c7/,
    );
  });

  test('first-order numbers are told from exact ones without colour', () => {
    const screened = small({ method: 'screened', change: (effect) => effect * 8 });
    const exact = { ...screened, exact: screened.exact.map((row, r) => row.map(() => r === 0)) };
    const html = draw(gridState(exact));
    expect(html).toContain('dotted cells run exactly, the others first-order estimates');
    expect(count(html, 'r="1.6"')).toBe(2);
    const estimates = draw(gridState(small({ method: 'attribution' })));
    expect(estimates).toContain('first-order estimates, no cell run');
    expect(count(estimates, 'r="1.6"')).toBe(0);
  });

  test('a run says how far it is and how long it takes', () => {
    const progress = { done: 183, total: 270, label: 'L20.H3' };
    const running = gridState(makeGrid({ done: 183 }), {
      status: 'running',
      progress,
      pace: { milliseconds: 183_000, cells: 183 },
    });
    const html = draw(running);
    expect(html).toContain('183 of 270 heads · now L20.H3 · 1:27 left · 60 heads/min');
    expect(html).toContain('Cancel, Keep What Is Done');
    expect(count(html, 'not run yet')).toBeGreaterThan(80);
    expect(html).not.toContain('Save Result');
  });

  test('a stopped one offers to go on', () => {
    const html = draw(gridState(makeGrid({ done: 183 })));
    expect(html).toContain('Stopped: 183 of 270 heads are done');
    expect(html).toContain('Resume');
  });

  test('an old one says what it was made with', () => {
    const html = draw(gridState(makeGrid(), { stale: true }));
    expect(html).toContain('Made with smollm2-135m Q4_1 #3f9a1c7; the prompt file has changed.');
    expect(html).toContain('Run Again');
  });

  test('a failed one keeps its figure', () => {
    const html = draw(gridState(makeGrid({ done: 20 }), { error: 'The engine stopped. Resume goes on.' }));
    expect(html).toContain('The engine stopped.');
    expect(html).toContain('role="grid"');
    expect(draw(gridState(null, { status: 'error', error: 'Because.' }))).toContain('There is no result');
  });

  test('clean and corrupted tokens stand over their positions, differing ones underlined', () => {
    const html = draw(gridState(makeGrid({ kind: 'patch' })));
    expect(count(html, 'text-decoration="underline"')).toBe(2);
    expect(html).toContain('>corrupted</text>');
    const heads = draw(gridState(makeGrid({ kind: 'patch-heads' })));
    expect(count(heads, 'class="m-differs"')).toBe(2);
    expect(heads).toContain('1 of 10 positions differ');
  });

  test('two results: this, other, difference, and why not', () => {
    const compared = { name: 'b.mechanist.json', document: makeGrid({ seed: 9, hash: 'bbbbbbb' }) };
    const html = draw(gridState(makeGrid(), { compared }), { side: 'difference' });
    expect(html).toContain('colour: change of this result − change of the other');
    expect(html).toContain('>other</button>');
    const unlike = { name: 'b.mechanist.json', document: makeGrid({ nHeads: 12 }) };
    expect(draw(gridState(makeGrid(), { compared: unlike }))).toContain(
      'b.mechanist.json cannot be compared with this result: it has 12 heads, not 9.',
    );
  });

  test('the attention of the selected head', () => {
    const document = makeGrid();
    const trace = makeTrace({ tokens: document.items[0].tokens.map(({ text }) => text) });
    const place = { row: 4, column: 2 };
    const detail = makeHead(trace, 4, 2, 3);
    const html = draw(gridState(document, { head: { place, item: 0, detail, error: null } }), { place });
    expect(html).toContain('Attention of L4.H2 on prompt 1, unmodified run');
    expect(html).toContain('of attention');
    const failed = draw(gridState(document, { head: { place, item: 0, detail: null, error: 'No model.' } }), { place });
    expect(failed).toContain('could not be read: No model.');
  });

  test.each([420, 700, 1070, 1600])('a figure has every cell at %d px', (width) => {
    expect(count(draw(gridState(makeGrid()), {}, 'light', width), 'data-cell=')).toBeGreaterThanOrEqual(270);
  });

  test('numbers are on from 36 px', () => {
    expect(draw(gridState(makeGrid()), {}, 'dark', 1070)).toContain('aria-pressed="true"');
    const narrow = draw(gridState(makeGrid({ nHeads: 40 })), {}, 'dark', 1070);
    expect(count(narrow, 'font-size="10"')).toBeLessThan(40);
  });

  test('a threshold hides marks, never data', () => {
    const all = draw(gridState(makeGrid()));
    const few = draw(gridState(makeGrid()), { threshold: 0.5 });
    expect(count(few, 'role="gridcell"')).toBe(count(all, 'role="gridcell"'));
    expect(count(few, '<text')).toBeLessThan(count(all, '<text') - 200);
    expect(few).toMatch(/aria-label="layer 3 head 3, [+−]\d/);
  });
});
