import type { FigureBase } from './figures.ts';

/** A feature as the panel names it. */
export interface CouplingFeature {
  /** Name of its observable: `occupations`, `␣she − ␣he`. Features of one observable stand together. */
  readonly observable: string;
  /** The node that reads it: `L21.H4`, `MLP 26`, `emb`. */
  readonly node: string;
  /** Its whole path, nearest the logits first: `L21.H4@7 <= L18.H7@3`. */
  readonly path: string;
  /** |y|, the length of its vector. */
  readonly norm: number;
  /** The observable's terms: `␣nurse + ␣teacher − ␣doctor`. */
  readonly terms: string;
}

/** `[row][column]` of features; null where it was not measured. */
export type PairNumbers = readonly (readonly (number | null)[])[];

/** Which number of a pair a matrix shows. */
export const couplingMeasures = ['C', 'cos', 'CS', 'slope'] as const;
export type CouplingMeasure = (typeof couplingMeasures)[number];

/** Where a norm's linearisation was taken: the angle between n and its pull-back, degrees, and ρ = cos(w, x). */
export interface NormPoint {
  readonly angle: number;
  readonly rho: number;
}

/** How far the final norm turns one observable, against observables drawn at random. */
export interface NormCard {
  readonly observable: string;
  readonly d: number;
  readonly kind: 'LayerNorm' | 'RMSNorm';
  /** Mean angle of random observables, exact, degrees. */
  readonly expected: number;
  /** What the theorem says it stays under, degrees; null where it says nothing. */
  readonly bound: number | null;
  /** Density of the angle of random observables at points of equal distance, `[degrees, density]`. */
  readonly density: readonly (readonly [degrees: number, density: number])[];
  readonly prompt: NormPoint | null;
  /** Null where the pair of prompts has no boundary between them. */
  readonly boundary: NormPoint | null;
}

/** Scores of some of the corpus' tokens. */
export interface CouplingSample {
  /** `[token][feature]`, logits. */
  readonly values: readonly (readonly number[])[];
  readonly tokens: readonly string[];
  /** The text around each token, itself included. */
  readonly contexts: readonly string[];
}

/** What features were measured on. */
export interface CouplingCorpus {
  /** File name. */
  readonly name: string;
  readonly tokens: number;
  /** How the sample was drawn: `every 46th drawn`. */
  readonly sampling: string;
  /** Mean score of each feature over all tokens, logits. */
  readonly means: readonly number[];
  readonly sample: CouplingSample;
}

/**
 * Coupling of features (Dunefsky & Cohan 2024, §3 and theorem 2): C(y₁, y₂) = y₁·y₂ / |y₁|², rows y₁; its form on data with
 * covariance S; and what was measured.
 */
export interface CouplingPicture extends FigureBase {
  readonly type: 'coupling';
  readonly features: readonly CouplingFeature[];
  /** `se`: standard error of the slope. Without a corpus everything but C and cos is null. */
  readonly values: Readonly<Record<CouplingMeasure | 'se' | 'r2', PairNumbers>>;
  readonly corpus: CouplingCorpus | null;
  /** One for each observable that has one. */
  readonly norms: readonly NormCard[];
  /** Where features were linearised. */
  readonly point: 'prompt' | 'boundary' | 'mean';
}

/** What a person asks for from the panel of a coupling; the host changes the experiment's file. */
export type CouplingRequest =
  | { readonly type: 'chooseCorpus' | 'useBoundary' }
  /** Which heads write a feature, by its place in the picture: a map of heads under its path. */
  | { readonly type: 'mapHeads'; readonly feature: number }
  /** Positions of two features in the picture. */
  | { readonly type: 'topTokens'; readonly features: readonly [row: number, column: number] };

/** Share by which C and its form on data may differ before a cell is marked. */
const marked = 0.2;

/** True where C and C_S differ by more than 20 % of the larger one: there isotropic inputs are a poor guess. */
export function couplingsDiffer(c: number, cs: number): boolean {
  return Math.abs(c - cs) > marked * Math.max(Math.abs(c), Math.abs(cs));
}

/** `couplingsDiffer` of a pair in a picture; false for the diagonal, and where C_S was not measured. */
export function differsOnCorpus({ values }: Pick<CouplingPicture, 'values'>, row: number, column: number): boolean {
  const [c, cs] = [values.C[row]?.[column] ?? null, values.CS[row]?.[column] ?? null];
  return row !== column && c !== null && cs !== null && couplingsDiffer(c, cs);
}
