import { describe, expect, it } from 'vitest';
import { resolveModelName } from '../../../src/core/tasks/modelName.ts';
import { legendPieces } from '../../../src/extension/promptLanguage/legend.ts';
import { moveShown, placeTokens } from '../../../src/extension/promptLanguage/shownTokens.ts';
import { beyondEnd, scaleEnd, tintRanges, tintStep } from '../../../src/extension/promptLanguage/tint.ts';
import { makeTrace } from '../../support/traceFixture.ts';

describe('tintStep', () => {
  it('is odd, grows with the value, and has five steps', () => {
    const steps = Array.from({ length: 201 }, (_, i) => tintStep((i - 100) / 100, 1));
    expect(steps[0]).toBe(-5);
    expect(steps[200]).toBe(5);
    for (let i = 1; i < steps.length; i++) expect(steps[i]).toBeGreaterThanOrEqual(steps[i - 1] ?? 0);
    expect(new Set(steps).size).toBe(11);
    for (const v of [0.05, 0.3, 0.7, 1]) expect(tintStep(-v, 1)).toBe(-tintStep(v, 1));
  });

  it('leaves out what is under 2 % of the scale, and NaN', () => {
    expect(tintStep(0.0199, 1)).toBe(0);
    expect(tintStep(-0.0199, 1)).toBe(0);
    expect(tintStep(0.021, 1)).toBe(1);
    expect(tintStep(Number.NaN, 1)).toBe(0);
    expect(tintStep(7, 1)).toBe(5);
  });

  it('sorts ranges by step', () => {
    const tokens = [
      { start: 0, end: 1, value: 1 },
      { start: 1, end: 2, value: -1 },
      { start: 2, end: 3, value: 0 },
    ];
    const ranges = tintRanges([{ start: 0, end: 3, tokens }], 1);
    expect(ranges[10]).toEqual([{ start: 0, end: 1 }]);
    expect(ranges[0]).toEqual([{ start: 1, end: 2 }]);
    expect(ranges[5]).toEqual([{ start: 2, end: 3 }]);
  });
});

describe('scaleEnd', () => {
  const shown = (...values: number[]) =>
    values.map((value, i) => ({ start: i, end: i + 1, tokens: [{ start: i, end: i + 1, value }] }));

  it('only grows until everything is there', () => {
    expect(scaleEnd(shown(0.3), 1, false)).toBe(0.5);
    expect(scaleEnd(shown(0.3, -1.7), 0.5, false)).toBe(2);
    expect(scaleEnd(shown(0.3, -2.47), 0.5, false)).toBe(2);
    expect(beyondEnd(shown(0.3, -2.47), 2)).toEqual({ below: true, above: false });
    expect(scaleEnd(shown(0.3, 0.2), 2, false)).toBe(2);
    expect(scaleEnd(shown(0.3, 0.2), 2, true)).toBe(0.5);
    expect(scaleEnd(shown(Number.NaN), 2, true)).toBe(2);
    expect(scaleEnd([], 2, true)).toBe(2);
  });
});

describe('scores of observable propagation', () => {
  const document = makeTrace({});
  const propagation = { view: 'score' } as NonNullable<typeof document.propagation>;
  const scored = { ...document, propagation, attributions: document.attributions.map((_, i) => (i === 0 ? 900 : 0.4)) };

  it('are scaled without the first token, which is clamped', () => {
    const prompt = { start: 0, end: 40, toOffset: (at: number) => at } as Parameters<typeof placeTokens>[0];
    const shown = [placeTokens(prompt, scored)];
    expect(scaleEnd(shown, 1, true)).toBe(0.5);
    expect(beyondEnd(shown, 0.5)).toEqual({ below: false, above: true });
    const contributed = { ...scored, propagation: { ...propagation, view: 'contribution' as const } };
    expect(scaleEnd([placeTokens(prompt, contributed)], 1, true)).toBe(1000);
  });
});

describe('moveShown', () => {
  const text = 'The nurse said';
  const shown = [
    {
      start: 0,
      end: 14,
      tokens: [
        { start: 0, end: 3, value: 1 },
        { start: 3, end: 9, value: 2 },
        { start: 9, end: 14, value: 3 },
      ],
    },
  ];
  const edited = (offset: number, length: number, inserted: string) => {
    const changed = text.slice(0, offset) + inserted + text.slice(offset + length);
    return moveShown(shown, [{ offset, length, inserted: inserted.length }]).flatMap((p) =>
      p.tokens.map((t) => changed.slice(t.start, t.end)),
    );
  };

  it('moves tokens behind an edit and drops deleted ones', () => {
    expect(edited(0, 0, 'So ')).toEqual(['The', ' nurse', ' said']);
    expect(edited(14, 0, ' that')).toEqual(['The', ' nurse', ' said']);
    expect(edited(3, 6, '')).toEqual(['The', ' said']);
    expect(edited(4, 5, 'maid')).toEqual(['The', ' maid', ' said']);
  });
});

describe('legendPieces', () => {
  const inside = { below: false, above: false };

  it('says at which end values are clamped, and writes round ends whole', () => {
    const pieces = legendPieces(makeTrace(), 20, { below: false, above: true });
    expect([pieces[0]?.text, pieces[8]?.text]).toEqual(['␣he −20', '≥ +20 ␣she logits']);
  });

  it('names what either end speaks for', () => {
    const pieces = legendPieces(makeTrace(), 2, inside);
    expect(pieces).toHaveLength(9);
    expect(pieces[0]?.text).toBe('␣he −2');
    expect(pieces[8]?.text).toBe('+2 ␣she logits');
    expect(pieces.filter((p) => p.text === '■').map((p) => p.color?.replace('mechanist.token.', ''))).toEqual([
      'negative5',
      'negative3',
      'negative2',
      'positive2',
      'positive3',
      'positive5',
    ]);
  });

  it('tells sign without colour in high contrast', () => {
    const texts = legendPieces(makeTrace(), 0.5, inside, true).map((p) => p.text);
    expect(texts.slice(1, 4)).not.toEqual(texts.slice(5, 8));
  });
});

describe('resolveModelName', () => {
  it('takes paths relative to the file and leaves ids alone', () => {
    expect(resolveModelName('smollm2-135m', '/a')).toBe('smollm2-135m');
    expect(resolveModelName('./m', '/a')).toBe('/a/m');
    expect(resolveModelName('../m.gguf', '/a/b')).toBe('/a/m.gguf');
    expect(resolveModelName('m.gguf', '/a')).toBe('/a/m.gguf');
    expect(resolveModelName('/x/m', '/a')).toBe('/x/m');
  });
});
