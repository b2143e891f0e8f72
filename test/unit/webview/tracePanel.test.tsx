import { renderToString } from 'preact-render-to-string';
import { describe, expect, test } from 'vitest';
import type { ThemeKind } from '../../../src/shared/palette.ts';
import type { TraceDocument } from '../../../src/shared/traceDocument.ts';
import type { TracePanelState } from '../../../src/shared/tracePanelProtocol.ts';
import { plainTheme } from '../../../src/webview/figures/theme.ts';
import { TracePanel } from '../../../src/webview/trace/TracePanel.tsx';
import { initialView, type TraceView } from '../../../src/webview/trace/viewState.ts';
import { makeHead, makeTrace } from '../../support/traceFixture.ts';
import { hundred, readyState } from '../../support/traceStates.ts';

const nothing = (): void => undefined;
const actions = {
  selectToken: nothing,
  selectComponent: nothing,
  ablate: nothing,
  changeMethod: nothing,
  setView: nothing,
  sort: nothing,
  copy: nothing,
  exportAs: nothing,
  runAgain: nothing,
  cancel: nothing,
  showLog: nothing,
};

const draw = (state: TracePanelState, view: Partial<TraceView> = {}, kind: ThemeKind = 'dark', width = 960): string =>
  renderToString(
    <TracePanel
      state={state}
      view={{ ...initialView, ...view }}
      theme={plainTheme(kind)}
      width={width}
      actions={actions}
    />,
  );

/** Small enough to be read in a snapshot. */
const small = (options: Parameters<typeof makeTrace>[0] = {}): TraceDocument =>
  makeTrace({ tokens: ['The', ' nurse', ' said'], nLayers: 3, nHeads: 2, ...options });

const count = (html: string, part: string): number => html.split(part).length - 1;

describe('snapshots', () => {
  test.each([
    ['ordinary', small()],
    ['all negative', small({ change: (value) => -Math.abs(value) - 0.01 })],
    ['constant', small({ change: () => 0.25 })],
    ['NaN', small({ change: (value, layer) => (layer === 1 ? Number.NaN : value) })],
    ['one token', small({ tokens: ['The'] })],
    ['with positions and biases', small({ biases: true })],
  ])('%s', (_, document) => {
    expect(draw(readyState(document))).toMatchSnapshot();
  });

  test('high contrast', () => {
    expect(draw(readyState(small()), {}, 'highContrastLight')).toMatchSnapshot();
  });

  test('tables', () => {
    expect(draw(readyState(small()), { table: true })).toMatchSnapshot();
  });
});

describe('what is drawn', () => {
  test('layers run upward: the last layer is the first row', () => {
    const html = draw(readyState(small()));
    expect(html.indexOf('layer 2 head 0')).toBeLessThan(html.indexOf('layer 0 head 0'));
    expect(html.indexOf('layer 0 head 0')).toBeLessThan(html.indexOf('embedding, '));
  });

  test('every head, MLP and lens cell has a name and a value; one tab stop for each grid', () => {
    const document = small();
    const html = draw(readyState(document));
    for (const [layer, heads] of document.direct.heads.entries())
      for (const head of heads.keys())
        expect(html).toMatch(new RegExp(`aria-label="layer ${layer} head ${head}, [+−]`));
    expect(count(html, 'role="grid"')).toBe(3);
    for (const grid of html.split('role="grid"').slice(1))
      expect(count(grid.split('</svg>')[0], 'tabindex="0"')).toBe(1);
  });

  test('NaN is written, hatched and located; it is not drawn as zero', () => {
    const html = draw(readyState(small({ change: (value, layer) => (layer === 1 ? Number.NaN : value) })));
    expect(html).toContain('layer 1 head 0, NaN logits');
    expect(html).toContain('Not a number from blocks.1.attn.hook_z (L1.H0) on.');
    expect(html).toContain('url(#components-hatch)');
  });

  test('layers that were not run are hatched and say so', () => {
    const document = small();
    const direct = { ...document.direct, heads: [document.direct.heads[0], [], []], mlps: [document.direct.mlps[0]] };
    const html = draw(readyState({ ...document, complete: false, direct }));
    expect(html).toContain('layer 2 head 1, not run yet');
  });

  test('all zero is said, the scale is not stretched', () => {
    expect(draw(readyState(small({ change: () => 0 })))).toContain('Every head and MLP adds 0');
  });

  test('100 tokens: a window of 24 with an overview, and a canvas for attention', () => {
    const html = draw(readyState(hundred()), { windowStart: 40 });
    expect(count(html, 'role="option"')).toBe(24);
    expect(html).toContain('positions 41 to 64 of 100');
    expect(html).toContain('<canvas');
    expect(html).toContain('85 others');
  });

  test('high contrast has no fills: sign is a dash, numbers are printed', () => {
    const html = draw(readyState(), {}, 'highContrastDark');
    expect(html).toContain('stroke-dasharray="4 3"');
    expect(html).not.toMatch(/#3b97f5|#e88a24|#4ec9c4/i);
  });

  test('a selected MLP says what it adds and shows no attention', () => {
    const html = draw(readyState(small()), { component: { layer: 1, kind: 'mlp' } });
    expect(html).toContain('MLP 1');
    expect(html).toContain('it has no attention pattern');
    expect(html).not.toContain('source token');
  });

  test('a detail of another head is not shown', () => {
    const document = small();
    const state = { ...readyState(document), head: makeHead(document, 0, 0, 0) };
    const html = draw(state, { component: { layer: 2, kind: 'head', head: 1 } });
    expect(html).toContain('Attention and OV circuit are being computed.');
    expect(html).not.toContain('pushes up');
  });

  test('nothing may be read as HTML, whatever a token is', () => {
    const html = draw(readyState(small({ tokens: ['<img src=x onerror=alert(1)>', '"\'&', '\u0000'] })));
    expect(html).not.toContain('<img');
    expect(html).toContain('\\x00');
  });
});

describe('states', () => {
  const blank: TracePanelState = { ...readyState(small()), document: null, lens: null, head: null };

  test('empty: one sentence, one button', () => {
    const html = draw({ ...blank, status: 'empty' });
    expect(html).toContain('A trace shows');
    expect(count(html, '<vscode-button')).toBe(1);
  });

  test('loading before anything is known: titles and hatching', () => {
    const html = draw({ ...blank, status: 'loading', progress: { done: 3, total: 30, label: 'L3 of 30' } });
    expect(html).toContain('Logits added, by component');
    expect(html).toContain('url(#loading-lens)');
  });

  test('loading the lens: axes are final, cells are hatched', () => {
    const html = draw({ ...readyState(small()), lens: null });
    expect(html).toContain('layer 2, position 3 space said, not run yet');
    expect(html).toContain('The logit lens is being computed.');
  });

  test('stale keeps the figure and offers to run again', () => {
    const html = draw({ ...readyState(small()), status: 'stale' });
    expect(html).toContain('Made with smollm2-135m Q4_1 #3f9a1c7');
    expect(html).toContain('Run Again');
    expect(html).toContain('layer 2 head 0');
  });

  test('an error of the lens stands in its place, the rest keeps working', () => {
    const html = draw({ ...readyState(small()), lensError: 'The engine stopped. Run again.' });
    expect(html).toContain('The logit lens failed');
    expect(html).toContain('Show Log');
    expect(html).toContain('layer 2 head 0');
    expect(html).not.toContain('data-matrix="lens"');
  });

  test('an error with nothing to show says what happened', () => {
    const html = draw({ ...blank, status: 'error', error: 'No model is chosen. Choose one.' });
    expect(html).toContain('No model is chosen. Choose one.');
  });

  test('warnings of the document are told, such as a cut prompt', () => {
    const warnings = ['The prompt has 5,000 tokens; only the first 3 fit.'];
    expect(draw(readyState({ ...small(), warnings }))).toContain('5,000 tokens; only the first 3 fit');
  });
});
