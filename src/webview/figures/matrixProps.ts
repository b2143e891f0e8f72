import type { ComponentChildren } from 'preact';
import type { MatrixMarks } from './MatrixDrawing.tsx';
import type { MatrixCell, MatrixModel } from './matrixModel.ts';
import type { Theme } from './theme.ts';

export interface MatrixFigureProps {
  readonly theme: Theme;
  readonly model: MatrixModel;
  readonly marks: MatrixMarks;
  readonly numbers: boolean;
  /** Title and key. */
  readonly heading?: ComponentChildren;
  /** Under the figure: what cells, tints and columns are. */
  readonly caption?: ComponentChildren;
  readonly onSelect: (cell: MatrixCell) => void;
  readonly onCopy: (text: string) => void;
  readonly onTable: () => void;
}
