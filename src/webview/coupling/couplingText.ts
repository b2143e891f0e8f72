import {
  type CouplingMeasure,
  type CouplingPicture,
  couplingMeasures,
  differsOnCorpus,
} from '../../shared/couplingPicture.ts';
import { turnsFar } from '../../shared/features.ts';
import { count, share, signed } from '../../shared/format.ts';
import type { Choice } from '../figures/PanelHeader.tsx';
import type { Pair } from './couplingOrder.ts';

const choiceLabels: Readonly<Record<CouplingMeasure, string>> = { C: 'C', cos: 'cos', CS: 'C_S', slope: 'Slope' };

/** What the switch offers. */
export const measureChoices: readonly Choice<CouplingMeasure>[] = couplingMeasures.map((id) => ({
  id,
  label: choiceLabels[id],
}));

/** A measure within a line of text. */
export const measureNames: Readonly<Record<CouplingMeasure, string>> = { C: 'C', cos: 'cos', CS: 'Cₛ', slope: 'slope' };

/** The matrix' heading. */
export const measureTitles: Readonly<Record<CouplingMeasure, string>> = {
  C: 'Column feature, per unit of row feature',
  cos: 'Cosine of row and column',
  CS: 'Column feature, per unit of row feature, given the corpus',
  slope: 'Column feature, per unit of row feature, as measured',
};

/** What the numbers are, under the heading. */
export const measureFormulas: Readonly<Record<CouplingMeasure, string>> = {
  C: 'C = y₁·y₂ / |y₁|²: inputs of every direction',
  cos: 'cos = y₁·y₂ / |y₁||y₂|: the same both ways',
  CS: 'Cₛ = y₁ᵀS y₂ / y₁ᵀS y₁, S: covariance of the corpus',
  slope: 'least squares over the corpus’ tokens',
};

/** What a person reads under the matrix: which way it is normalised, and what is not measured. */
export function normalisesText(measure: CouplingMeasure, picture: CouplingPicture): string {
  const missing = (measure === 'CS' || measure === 'slope') && picture.corpus === null;
  const way =
    measure === 'cos' ? 'Symmetric: rows and columns say the same.' : 'Rows normalise: read a row from left to right.';
  return missing ? `Not measured: ${measureNames[measure]} needs a corpus. ${way}` : way;
}

/** `C and Cₛ differ by more than 20 % on the corpus (9 cells).` Null without a corpus. */
export function flaggedText(picture: CouplingPicture): string | null {
  if (picture.corpus === null) return null;
  const cells = picture.features.flatMap((_, row) =>
    picture.features.flatMap((__, column) => (differsOnCorpus(picture, row, column) ? [0] : [])),
  ).length;
  if (cells === 0) return 'C and Cₛ differ by at most 20 % on the corpus in every cell.';
  return `C and Cₛ differ by more than 20 % on the corpus (${count(cells)} ${cells === 1 ? 'cell' : 'cells'}).`;
}

const word = (name: string, value: number | null | undefined, write: (value: number) => string): string[] =>
  value === null || value === undefined ? [] : [`${name} ${write(value)}`];

/** The other numbers of a pair, for the read-out: `cos +0.546  Cₛ +0.443  r² .820, 41,208 tokens`. */
export function otherNumbers(picture: CouplingPicture, { row, column }: Pair, measure: CouplingMeasure): string {
  const { values, corpus } = picture;
  const at = (name: keyof typeof values): number | null => values[name][row]?.[column] ?? null;
  const measures = couplingMeasures
    .filter((name) => name !== measure)
    .flatMap((name) => word(measureNames[name], at(name), signed));
  const quality = word('r²', at('r2'), share);
  const tokens = corpus === null || at('slope') === null ? [] : [`${count(corpus.tokens)} tokens`];
  return [...measures, [...quality, ...tokens].join(', ')].filter((text) => text !== '').join('  ');
}

/** `corpus web-sample.txt, 41,208 tokens, every 46th drawn` */
export function corpusText({ name, tokens, sampling }: NonNullable<CouplingPicture['corpus']>): string {
  return `corpus ${name}, ${count(tokens)} tokens, ${sampling}`;
}

/** A norm that turns its observable too far where it was linearised. */
export interface RhoWarning {
  readonly text: string;
  /** True where the row's pair has a boundary to linearise at. */
  readonly boundary: boolean;
}

/** Null where the norm turns its observable little, or at the boundary. */
export function rhoWarning(picture: CouplingPicture, observable: string): RhoWarning | null {
  const card = picture.norms.find((one) => one.observable === observable);
  const rho = Math.abs(card?.prompt?.rho ?? 0);
  if (picture.point !== 'prompt' || !turnsFar(rho)) return null;
  const boundary = (card?.boundary ?? null) !== null;
  const advice = boundary
    ? 'linearise at the decision boundary.'
    : 'its row has no partner with a decision boundary in between.';
  return { text: `ρ reaches ${share(rho)} at this prompt: ${advice}`, boundary };
}

/** Degrees: `1.90°`, `17.5°`. */
export function degrees(value: number): string {
  return Number.isFinite(value) ? `${Number(value.toPrecision(3)).toFixed(Math.abs(value) < 10 ? 2 : 1)}°` : 'NaN';
}
