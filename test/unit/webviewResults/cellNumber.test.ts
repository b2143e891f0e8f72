import { expect, test } from 'vitest';
import { cellNumber } from '../../../src/webview/figures/Mark.tsx';
import type { MatrixModel } from '../../../src/webview/figures/matrixModel.ts';

const at = (max: number, value: number, width = 60, scale: MatrixModel['scale'] = 'diverging') =>
  cellNumber({ max, scale } as MatrixModel, value, width);

test('the number of a cell has two decimals, and more where the whole scale is small and there is room', () => {
  expect([at(5, 1.234), at(0.1, 0.034), at(0, 0)]).toEqual(['+1.23', '+0.03', '0.00']);
  expect([at(0.05, 0.0341), at(0.01, -0.0034), at(0.005, 0.00617)]).toEqual(['+0.034', '−0.003', '+0.0062']);
  expect([at(1e-7, 3e-8), at(0.005, 0)]).toEqual(['0.00', '0.00']);
  expect([at(0.005, 0.00617, 46), at(0.005, 0.00617, 41), at(0.005, 0.00617, 36)]).toEqual(['+0.006', '+0.01', '+.01']);
  expect([at(0.05, 0.0341, 60, 'sequential'), at(0.05, Number.NaN)]).toEqual(['.03', 'NaN']);
});
