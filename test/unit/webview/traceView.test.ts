import { describe, expect, test } from 'vitest';
import { beyondScale, scaleMax } from '../../../src/shared/scale.ts';
import type { TracePanelState } from '../../../src/shared/tracePanelProtocol.ts';
import { componentsBySize, defaultComponent, defaultToken, effectOf } from '../../../src/shared/traceSelection.ts';
import { windowWith } from '../../../src/webview/figures/OverviewBar.tsx';
import { layoutTrace } from '../../../src/webview/trace/traceLayout.ts';
import { firstBroken, subtitleOf, titleOf } from '../../../src/webview/trace/traceText.ts';
import {
  adoptState,
  initialView,
  neighbourHead,
  restoreView,
  selectionIn,
  windowIn,
  withToken,
} from '../../../src/webview/trace/viewState.ts';
import { makeTrace } from '../../support/traceFixture.ts';
import { hundred, readyState } from '../../support/traceStates.ts';

const document = makeTrace();

describe('default selection', () => {
  test('is the largest head and the largest token', () => {
    const head = defaultComponent(document);
    const all = document.direct.heads.flat().map(Math.abs);
    expect(head && Math.abs(effectOf(document, head))).toBe(Math.max(...all));
    const token = defaultToken(document) ?? -1;
    expect(Math.abs(document.attributions[token])).toBe(Math.max(...document.attributions.map(Math.abs)));
  });

  test('NaN is never the largest', () => {
    const broken = makeTrace({ change: (value, layer) => (layer === 3 ? Number.NaN : value) });
    const order = componentsBySize(broken);
    expect(defaultComponent(broken)?.layer).not.toBe(3);
    expect(order.slice(-10).every(({ effect }) => Number.isNaN(effect))).toBe(true);
  });

  test('a choice that the document does not have falls back', () => {
    const view = { ...initialView, token: 400, component: { layer: 99, kind: 'mlp' } as const };
    expect(selectionIn(document, view)).toEqual({
      token: defaultToken(document),
      component: defaultComponent(document),
    });
    const kept = { ...initialView, token: 2, component: { layer: 4, kind: 'mlp' } as const };
    expect(selectionIn(document, kept)).toEqual({ token: 2, component: { layer: 4, kind: 'mlp' } });
  });
});

describe('host and panel', () => {
  const before = readyState(document);
  const moved: TracePanelState = { ...before, selection: { token: 3, component: null } };

  test('a selection that the host changes is taken over', () => {
    expect(adoptState(initialView, before, moved).token).toBe(3);
  });

  test('a new result with the same host selection does not move the panel', () => {
    const view = { ...initialView, token: 5 };
    expect(adoptState(view, moved, { ...moved, document: makeTrace({ seed: 8 }) }).token).toBe(5);
  });

  test('the window follows a token that is chosen elsewhere', () => {
    const long = readyState(hundred());
    const next = adoptState(initialView, long, { ...long, selection: { token: 80, component: null } });
    const { start, end } = windowIn(hundred(), next);
    expect(start).toBeLessThanOrEqual(80);
    expect(end).toBeGreaterThan(80);
    expect(end - start).toBe(24);
  });

  test('what was kept is read with care', () => {
    expect(restoreView(null)).toEqual(initialView);
    expect(restoreView({ token: 'x', component: { layer: 'a' }, numbers: 3, windowStart: Number.NaN })).toEqual(
      initialView,
    );
    const view = { ...initialView, token: 4, component: { layer: 1, kind: 'head' as const, head: 2 }, numbers: false };
    expect(restoreView(JSON.parse(JSON.stringify(view)))).toEqual(view);
  });
});

describe('moving the selection', () => {
  test('Alt+↓ goes through the heads by effect, also from an MLP', () => {
    const order = componentsBySize(document).filter(({ component }) => component.kind === 'head');
    expect(neighbourHead(document, order[0].component, 1)).toEqual(order[1].component);
    expect(neighbourHead(document, order[0].component, -1)).toEqual(order[0].component);
    const mlp = { layer: 28, kind: 'mlp' as const };
    const size = Math.abs(effectOf(document, mlp));
    const below = order.find(({ effect }) => Math.abs(effect) < size);
    expect(neighbourHead(document, mlp, 1)).toEqual(below?.component);
  });

  test.each([
    [50, 0, 27],
    [10, 30, 10],
    [35, 30, 30],
    [99, 0, 76],
    [null, 90, 76],
  ])('token %s, window at %d → %d', (token, start, to) => {
    expect(windowWith(token, start, 24, 100)).toBe(to);
  });

  test('short prompts have no window', () => {
    expect(withToken(initialView, document, 8).windowStart).toBe(0);
  });
});

describe('scale and layout', () => {
  test('one outlier of up to 30 % is clamped, and the key can say so', () => {
    expect(scaleMax([2.56, -1])).toBe(2);
    expect(scaleMax([2.7, -1])).toBe(5);
    expect(scaleMax([-3, Number.NaN])).toBe(5);
    expect(scaleMax([])).toBe(1);
    expect(beyondScale([2.56, -1], 2)).toEqual({ below: false, above: true });
  });

  test.each([420, 600, 700, 800, 960, 1200, 1600])(
    'at %d px the component figure fits or scrolls inside itself',
    (width) => {
      for (const nHeads of [2, 9, 12, 16]) {
        const layout = layoutTrace({ width, nLayers: 12, nHeads, columns: 9, numbers: null, contrast: false });
        const drawn =
          layout.labelWidth + nHeads * layout.headWidth + 8 + layout.mlpWidth + layout.totalGap + layout.totalWidth;
        const room = layout.beside ? layout.inner - layout.figureGap - 9 * 46 : layout.inner;
        expect(drawn).toBeLessThanOrEqual(Math.max(room, 0.62 * layout.inner));
        expect(layout.headWidth).toBeGreaterThanOrEqual(12);
      }
    },
  );

  test('numbers come on by themselves when cells are wide enough', () => {
    const base = { nLayers: 30, nHeads: 9, columns: 9, contrast: false };
    expect(layoutTrace({ ...base, width: 960, numbers: null }).numbers).toBe(false);
    expect(layoutTrace({ ...base, width: 1440, numbers: null }).numbers).toBe(true);
    expect(layoutTrace({ ...base, width: 420, numbers: null }).numbers).toBe(false);
    expect(layoutTrace({ ...base, width: 960, numbers: true }).headWidth).toBeGreaterThanOrEqual(36);
  });

  test('thirty layers leave room for the selected head; a tall window gives them more, a small one stays readable', () => {
    const input = { nLayers: 30, nHeads: 9, columns: 9, numbers: null, contrast: false, width: 900 };
    const rows = (height: number | undefined) => layoutTrace({ ...input, height }).rowHeight;
    expect([rows(815), rows(1100), rows(400), rows(2000), rows(undefined)]).toEqual([12, 22, 12, 24, 14]);
    expect(layoutTrace({ ...input, height: 815, contrast: true }).rowHeight).toBe(18);
    expect(layoutTrace({ ...input, height: 815, width: 700 }).rowHeight).toBe(14);
  });
});

describe('words', () => {
  test('title says the finding, subtitle what it is made of, in order', () => {
    expect(titleOf(document)).toMatch(/^␣she − ␣he = [+−]\d\.\d\d logits$/);
    expect(subtitleOf(document)).toBe(
      'Direct logit attribution at ␣that, attention and norm scale frozen · n = 1 prompt · no ablation · smollm2-135m Q4_1, no patches · #3f9a1c7',
    );
    expect(subtitleOf(makeTrace({ method: 'occlusion' }))).toContain(
      "token embedding replaced by the vocabulary's mean",
    );
  });

  test('the first place that is not a number is named', () => {
    expect(firstBroken(document)).toBeNull();
    const broken = makeTrace({ change: (value, layer) => (layer >= 3 ? Number.NaN : value) });
    expect(firstBroken(broken)).toBe('blocks.3.attn.hook_z (L3.H0)');
  });
});
