/** Sizes of the three figures that share the layer axis, in px. Pure: the panel, the exports and the tests agree. */
export interface TraceLayout {
  /** Width that the figures may use. */
  readonly inner: number;
  /** True: lens beside the heat-map; false: below it. */
  readonly beside: boolean;
  readonly rowHeight: number;
  readonly labelWidth: number;
  readonly headWidth: number;
  readonly mlpWidth: number;
  readonly totalWidth: number;
  readonly totalGap: number;
  readonly lensWidth: number;
  readonly figureGap: number;
  /** Cells wide enough, or asked for. */
  readonly numbers: boolean;
  /** Label every n-th layer. */
  readonly labelEvery: number;
}

export interface LayoutInput {
  readonly width: number;
  /** Height that is seen of the panel, in px; undefined where nothing scrolls. */
  readonly height?: number | undefined;
  readonly nLayers: number;
  readonly nHeads: number;
  /** Lens columns in the window. */
  readonly columns: number;
  readonly numbers: boolean | null;
  readonly contrast: boolean;
}

const clamp = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value));

/** The component figure's title and key need this much. */
const smallestFigure = 376;

/** Cells this wide show their number. */
const numberCell = 36;

/** What else should be seen with the figures: header, strip, titles, read-outs, and most of the selected head. */
const besideFigures = 430;

/** Layers fill what the window leaves them; a row stays readable (its text is 10 px) and no higher than a line. */
function rowHeightFor(nLayers: number, contrast: boolean, height: number | undefined): number {
  const smallest = contrast ? 18 : 12;
  if (height === undefined) return clamp(Math.round(420 / Math.max(1, nLayers)), smallest + (contrast ? 0 : 2), 24);
  return clamp(Math.floor((height - besideFigures) / Math.max(1, nLayers)), smallest, 24);
}

/** Lays out the row for a panel of `width` px. */
export function layoutTrace({ width, height, nLayers, nHeads, columns, numbers, contrast }: LayoutInput): TraceLayout {
  const padding = width < 600 ? 12 : 18;
  const inner = Math.max(240, width - 2 * padding);
  const beside = width >= 800;
  const labelWidth = 30;
  const totalWidth = width < 600 ? 48 : 96;
  const totalGap = width < 600 ? 8 : 14;
  const fixed = labelWidth + 8 + totalGap + totalWidth;
  const wanted = contrast || numbers === true ? numberCell + 4 : width >= 1200 ? numberCell : 23;
  // The MLP column is a little wider than a head's: it carries more and its number must fit.
  const perCell = (room: number): number => Math.floor((room - fixed) / (nHeads + 1.25));
  const room = beside ? inner * (wanted > 30 ? 0.55 : 0.42) : inner;
  const smallest = wanted > 30 && (numbers === true || contrast) ? numberCell : 12;
  // Few heads: room for numbers at once.
  const largest = beside && nHeads > 6 ? wanted : Math.max(wanted, 44);
  const headWidth = clamp(perCell(room), smallest, width < 600 && numbers !== true && !contrast ? 30 : largest);
  const heatWidth = fixed + Math.round((nHeads + 1.25) * headWidth);
  const figureGap = 30;
  const lensLabel = beside ? 0 : labelWidth;
  const lensRoom =
    (beside ? inner - Math.max(smallestFigure, Math.min(heatWidth, room)) - figureGap : inner) - lensLabel;
  return {
    inner,
    beside,
    // Under each other the figures do not fit in a window anyway.
    rowHeight: rowHeightFor(nLayers, contrast, beside ? height : undefined),
    labelWidth,
    headWidth,
    mlpWidth: Math.round(headWidth * 1.25),
    totalWidth,
    totalGap,
    lensWidth: clamp(
      Math.floor((lensRoom - 1) / Math.max(1, columns)),
      contrast ? 92 : 46,
      contrast ? 110 : width >= 1200 ? 120 : 88,
    ),
    figureGap,
    numbers: numbers ?? headWidth >= numberCell,
    labelEvery: width >= 600 && nLayers <= 16 ? 1 : 5,
  };
}
