import { renderToString } from 'preact-render-to-string';
import { describe, expect, it } from 'vitest';
import { directionFromJson } from '../../../src/core/tasks/steerDirection.ts';
import type { CurvePicture, TablePicture } from '../../../src/shared/figures.ts';
import { resultFromJson } from '../../../src/shared/figuresFile.ts';
import { resultToJson } from '../../../src/shared/resultJson.ts';
import { steerFigures } from '../../../src/shared/steerFigures.ts';
import { curveDrawing } from '../../../src/webview/charts/curve.tsx';
import { plainTheme } from '../../../src/webview/figures/theme.ts';
import { makeSteering } from '../../support/steerFixture.ts';

const curveOf = (factors?: readonly number[], id = 'metric') =>
  steerFigures(makeSteering(factors)).pictures.find((picture) => picture.id === id) as CurvePicture;

describe('figures of a steering', () => {
  it('have the unsteered run once, in its place, whether it was asked for or not', () => {
    for (const factors of [undefined, [-8, -6, -4, -2, 2, 4, 6, 8], [8, 6, 4, 2, -2, -4, -6, -8, 0, 0]]) {
      const curve = curveOf(factors);
      expect(curve.x.labels).toEqual(['−8', '−6', '−4', '−2', '0', '+2', '+4', '+6', '+8']);
      expect(curve.origin).toBe(4);
      expect(curve.series[0].points[4]?.mean).toBe(1.5);
      expect(curve.series[0].reference).toBe(1.5);
    }
    expect(curveOf(undefined, 'kl').series[0].points[4]?.mean).toBe(0);
  });

  it('say the largest change as the title, and the parts of every result in the subtitle', () => {
    const { title, subtitle } = steerFigures(makeSteering());
    expect(title).toMatch(/^Factor −8 takes ␣she − ␣he from \+1\.50 to −3\.30 logits$/);
    expect(subtitle).toBe(
      'The␣nurse␣said␣that · n = 1 prompt · a direction of length 1, times a factor, added at blocks.1.hook_resid_pre, every position',
    );
    expect(steerFigures(makeSteering([])).title).toBe('No factor changes ␣she − ␣he');
  });

  it('hold every number in the table, and open again from a file', () => {
    const document = steerFigures(makeSteering());
    const table = document.pictures.find(({ id }) => id === 'runs') as TablePicture;
    expect(table.rows.map(([factor]) => factor)).toContain('0, unsteered');
    expect(table.rows[8].slice(0, 3)).toEqual(['+8', 1.5 + 0.6 * 8, 0.02 * 64]);
    expect(document.values['metric at -4']).toBeCloseTo(-0.9, 12);
    expect(resultFromJson(resultToJson(document))).toEqual(document);
  });

  it('mark the unsteered run across the plot', () => {
    const lines = (picture: CurvePicture) => {
      const { content } = curveDrawing(plainTheme('light'), picture, 500);
      return renderToString(content).split('<line').length;
    };
    const { origin: _, ...without } = curveOf();
    expect(lines(curveOf())).toBe(lines(without) + 1);
  });
});

describe('a direction from a file', () => {
  it('is a list of numbers; anything else is said', () => {
    expect(directionFromJson('[1, -2.5]', 'd.json')).toEqual({ kind: 'vector', values: [1, -2.5] });
    expect(() => directionFromJson('{"a": 1}', 'd.json')).toThrow(/d\.json is no direction: it is a JSON list/);
    expect(() => directionFromJson('[1,', 'd.json')).toThrow(/d\.json is no direction/);
  });
});
