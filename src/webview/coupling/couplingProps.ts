import type { CouplingPicture, CouplingRequest } from '../../shared/couplingPicture.ts';
import type { Theme } from '../figures/theme.ts';
import type { FiguresView } from '../results/figuresView.ts';
import type { PictureActions } from '../results/PictureView.tsx';

/** What a person can do with a coupling. */
export interface CouplingActions extends PictureActions {
  readonly request: (request: CouplingRequest) => void;
}

export interface CouplingProps {
  readonly theme: Theme;
  readonly picture: CouplingPicture;
  readonly view: Pick<FiguresView, 'selected' | 'numbers' | 'sorts' | 'measure' | 'grouping'>;
  /** Px, without the panel's padding. */
  readonly width: number;
  readonly actions: CouplingActions;
}

/** How the figures of a coupling stand: all beside the matrix, side by side under it, or in one column. */
export type CouplingLayout = 'beside' | 'under' | 'column';

/** Px between two columns. */
const gap = 48;

/** Layout and widths of the two columns. `inner`: the panel's width without its padding. */
export function couplingLayout(inner: number): {
  readonly layout: CouplingLayout;
  readonly matrix: number;
  readonly detail: number;
} {
  if (inner >= 1140) {
    const detail = Math.round(Math.min(560, Math.max(420, inner * 0.385)));
    return { layout: 'beside', matrix: inner - detail - gap, detail };
  }
  if (inner >= 760) return { layout: 'under', matrix: inner, detail: Math.floor((inner - gap) / 2) };
  return { layout: 'column', matrix: inner, detail: Math.min(inner, 620) };
}
