import { isHighContrast } from '../../shared/palette.ts';
import type { TraceDocument } from '../../shared/traceDocument.ts';
import type { Theme } from '../figures/theme.ts';
import { layoutTrace, type TraceLayout } from './traceLayout.ts';
import { headsPerLayer } from './traceModels.ts';
import { type TraceView, windowIn } from './viewState.ts';

/** Layout of the figures for this document, view, theme and panel size. */
export function panelLayout(
  document: TraceDocument,
  view: TraceView,
  theme: Theme,
  width: number,
  height?: number,
): TraceLayout {
  const { start, end } = windowIn(document, view);
  return layoutTrace({
    width,
    height,
    nLayers: document.direct.heads.length,
    nHeads: headsPerLayer(document),
    columns: end - start,
    numbers: view.numbers,
    contrast: isHighContrast(theme.palette),
  });
}
