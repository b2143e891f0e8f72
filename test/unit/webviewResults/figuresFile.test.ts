import { describe, expect, test } from 'vitest';
import type { FiguresDocument, MatrixPicture, Picture } from '../../../src/shared/figures.ts';
import { resultFromJson } from '../../../src/shared/figuresFile.ts';
import { resultToJson } from '../../../src/shared/resultJson.ts';
import { makeEvaluation, makeFigures } from '../../support/figuresFixture.ts';
import { makeGrid } from '../../support/gridFixture.ts';
import { makeTree } from '../../support/treeFixture.ts';

const changed = (change: (document: Record<string, unknown>) => void, of: object = makeFigures()): string => {
  const plain = JSON.parse(resultToJson(of)) as Record<string, unknown>;
  change(plain);
  return JSON.stringify(plain);
};

describe('a result of any kind', () => {
  test.each([makeFigures(), makeEvaluation(), makeGrid({ nLayers: 2, n: 3 })])(
    'is read as it was written',
    (document) => {
      expect(resultFromJson(resultToJson(document))).toEqual(document);
    },
  );

  test('keeps NaN and infinities in numbers, and such words in texts', () => {
    const [first] = makeFigures().pictures;
    const matrix: MatrixPicture = {
      ...(first as MatrixPicture),
      title: 'NaN',
      rows: { name: 'layer', labels: ['NaN', 'L1'] },
      columns: { name: '', labels: ['a'] },
      values: [[Number.NaN], [Number.NEGATIVE_INFINITY]],
    };
    const document: FiguresDocument = { ...makeFigures(), pictures: [matrix], values: { x: Number.NaN } };
    expect(resultFromJson(resultToJson(document))).toEqual(document);
  });
});

describe('what is refused, and how', () => {
  const picture = (change: (picture: Record<string, unknown>) => void, at = 0) =>
    changed((document) => change((document.pictures as Record<string, unknown>[])[at] ?? {}));
  const of = (one: Picture, change: (picture: Record<string, unknown>) => void) =>
    changed((d) => change((d.pictures as Record<string, unknown>[])[0]), { ...makeFigures(), pictures: [one] });
  test.each<readonly [string, string, RegExp]>([
    [
      'a newer schema',
      changed((d) => {
        d.schemaVersion = 2;
      }),
      /newer Mechanist.*Update/,
    ],
    [
      'another kind',
      changed((d) => {
        d.kind = 'trace';
      }),
      /kind is "trace".*shows "grid", "figures"/,
    ],
    [
      'an unknown type',
      picture((p) => {
        p.type = 'pie';
      }),
      /picture letter 3 is of the type "pie"/,
    ],
    [
      'a matrix with a row too few',
      picture((p) => {
        (p.values as unknown[]).pop();
      }),
      /letter 3 has not 12 × 11 values/,
    ],
    [
      'a word for a number',
      picture((p) => {
        (p.values as unknown[][])[0][0] = 'many';
      }),
      /has not 12 × 11 values/,
    ],
    [
      'a curve with a point too many',
      picture((p) => {
        (p.series as { points: unknown[] }[])[0].points.push(null);
      }, 4),
      /add-back has not one point for each of 9 steps/,
    ],
    [
      'a tree whose intervals are numbers',
      of(makeTree(), (p) => {
        (p.lines as { interval: unknown }[])[3].interval = 0.4;
      }),
      /picture tree has no lines with labels, values and intervals/,
    ],
    [
      'a map to go down without tokens',
      of({ ...(makeFigures().pictures[0] as MatrixPicture), descend: { under: null, tokens: [] } }, (p) => {
        p.descend = { under: 'L1.H2' };
      }),
      /letter 3 can be gone down from, but has no tokens/,
    ],
    [
      'two pictures of one id',
      picture((p) => {
        p.id = 'letter 2';
      }),
      /two pictures have the id "letter 2"/,
    ],
    [
      'no provenance',
      changed((d) => {
        delete d.provenance;
      }),
      /provenance is missing/,
    ],
    [
      'no checks',
      changed((d) => {
        d.checks = [{}];
      }),
      /checks is not a list/,
    ],
    [
      'an evaluation without faithfulness',
      changed((d) => {
        delete d.faithfulness;
      }, makeEvaluation()),
      /faithfulness has no estimates/,
    ],
    [
      'an evaluation without nodes',
      changed((d) => {
        d.circuit = {};
      }, makeEvaluation()),
      /circuit has no nodes/,
    ],
  ])('%s', (_, text, why) => {
    expect(() => resultFromJson(text)).toThrow(why);
  });
});
