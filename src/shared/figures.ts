import type { CouplingPicture } from './couplingPicture.ts';
import type { Provenance } from './traceDocument.ts';
import type { TreePicture } from './treePicture.ts';

/** A number over a sample, with its spread. Null where the sample is too small to have one. */
export interface Estimate {
  readonly mean: number;
  readonly n: number;
  /** Sample standard deviation. */
  readonly sd: number | null;
  /** 95 % percentile bootstrap interval of the mean. */
  readonly interval: readonly [low: number, high: number] | null;
}

/** What every picture has. */
export interface FigureBase {
  /** Short name, unique in its document: `letter 3`. */
  readonly id: string;
  /** Says the finding or what is shown; sentence case. */
  readonly title: string;
  /** What the axes, dashes and dots are; number of prompts. */
  readonly subtitle: string;
}

/** `[row][column]`. Rows named `layer` are drawn from the bottom up. */
export interface MatrixPicture extends FigureBase {
  readonly type: 'matrix';
  readonly rows: { readonly name: string; readonly labels: readonly string[] };
  readonly columns: { readonly name: string; readonly labels: readonly string[] };
  /** Null: not run. NaN is shown as such. */
  readonly values: readonly (readonly (number | null)[])[];
  readonly unit: string;
  /** `diverging`: signed, symmetric about 0. `sequential`: unsigned, as attention. */
  readonly scale: 'diverging' | 'sequential';
  /** A map of heads that one can go down from: the path so far, and tokens that a head may read. */
  readonly descend?: { readonly under: string | null; readonly tokens: readonly string[] };
}

/** Groups of bars on one axis with a zero. */
export interface BarPicture extends FigureBase {
  readonly type: 'bars';
  readonly groups: readonly {
    readonly label: string;
    readonly bars: readonly ({ readonly label: string } & Estimate)[];
  }[];
  readonly unit: string;
  /** Which spread is drawn. */
  readonly spread: 'sd' | 'interval' | 'none';
}

/** Lines over named steps, with bands behind them and dashed reference values. */
export interface CurvePicture extends FigureBase {
  readonly type: 'curve';
  readonly x: { readonly name: string; readonly labels: readonly string[] };
  /** Step of the unchanged model: a line across the plot. */
  readonly origin?: number;
  readonly series: readonly {
    readonly name: string;
    readonly points: readonly (Estimate | null)[];
    readonly emphasised?: boolean;
    /** Value of the unchanged model, drawn as dashes at the right end. */
    readonly reference?: number;
  }[];
  readonly bands: readonly {
    readonly name: string;
    readonly low: readonly number[];
    readonly high: readonly number[];
  }[];
  readonly unit: string;
}

export interface ScatterPicture extends FigureBase {
  readonly type: 'scatter';
  readonly x: { readonly name: string; readonly unit: string };
  readonly y: { readonly name: string; readonly unit: string };
  /** Told apart by shape and label. */
  readonly groups: readonly string[];
  readonly points: readonly {
    readonly x: number;
    readonly y: number;
    readonly group: number;
    readonly label: string;
  }[];
  /** Pearson correlation of each group; null where it has none. */
  readonly correlations: readonly (number | null)[];
}

/** A sample as a histogram, with values of interest as lines. */
export interface HistogramPicture extends FigureBase {
  readonly type: 'histogram';
  readonly values: readonly number[];
  readonly markers: readonly { readonly label: string; readonly value: number; readonly emphasised?: boolean }[];
  readonly unit: string;
}

export interface TablePicture extends FigureBase {
  readonly type: 'table';
  readonly columns: readonly { readonly name: string; readonly unit?: string }[];
  readonly rows: readonly (readonly (string | number | boolean | null)[])[];
}

/** Heads and MLPs of a model and what flows between them; layers from the bottom up. Names as circuit files have them. */
export interface GraphPicture extends FigureBase {
  readonly type: 'graph';
  readonly nLayers: number;
  readonly nodes: readonly { readonly node: string; readonly role?: string; readonly effect?: number }[];
  /** The strongest; empty: every node writes to the logits. */
  readonly edges: readonly {
    readonly from: string;
    readonly to: string;
    readonly channel: 'q' | 'k' | 'v' | 'mlp' | 'logits';
    readonly effect?: number;
  }[];
  readonly unit: string;
}

/** Pictures that are one figure. */
export type SimplePicture =
  | MatrixPicture
  | BarPicture
  | CurvePicture
  | ScatterPicture
  | HistogramPicture
  | TablePicture
  | GraphPicture
  | TreePicture;

/** A simple picture, or a whole panel of figures that belong together. */
export type Picture = SimplePicture | CouplingPicture;

/** A number that was expected, and what came. */
export interface CheckedNumber {
  /** Name in `FiguresDocument.values`. */
  readonly name: string;
  readonly value: number | null;
  readonly low: number | null;
  readonly high: number | null;
  readonly passed: boolean;
  /** Where the range comes from: `methods §9`, `own run of 2026-11-27`. */
  readonly source: string;
  /** Why the step does not count when it differs: a remark instead of a failure. */
  readonly note?: string;
}

/** Result of an experiment's step: pictures, and named numbers that `expect:` lines refer to. */
export interface FiguresDocument {
  readonly schemaVersion: 1;
  readonly kind: 'figures';
  /** Name of the step's analysis: `patch-residual`. */
  readonly analysis: string;
  readonly title: string;
  readonly subtitle: string;
  readonly complete: boolean;
  /** Cells that are done, and all there are. */
  readonly cells: { readonly done: number; readonly total: number };
  readonly warnings: readonly string[];
  readonly provenance: Provenance;
  /** What was asked, as the person wrote it, with defaults filled in; seeds, rows and the data's hash. */
  readonly request: Readonly<Record<string, unknown>>;
  readonly pictures: readonly Picture[];
  readonly values: Readonly<Record<string, number>>;
  readonly checks: readonly CheckedNumber[];
  readonly cost: { readonly forwardPasses: number; readonly seconds: number };
}
