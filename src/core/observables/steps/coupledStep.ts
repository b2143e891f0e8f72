import type { CoupledFeature } from '../../../shared/couplingFeatures.ts';
import {
  type CouplingFeature,
  type CouplingPicture,
  couplingMeasures,
  type NormCard,
  type NormPoint,
} from '../../../shared/couplingPicture.ts';
import type { LinearisationPoint, NormMode } from '../../../shared/features.ts';
import { count, signedFixed } from '../../../shared/format.ts';
import type { StepContext, StepResult } from '../../experiments/stepKind.ts';
import { fittedLine } from '../coupling.ts';
import { type CouplingCorpus, type CouplingShare, joinCouplingShares } from '../couplingShare.ts';
import type { FinalNormAngles } from '../finalNormAngles.ts';
import { randomAngle } from '../normAngle.ts';
import { CONTEXT } from '../tokenSample.ts';
import { extentWarnings } from './corpusParams.ts';
import { couplingTitle } from './couplingTitle.ts';

/** What the cell of the weights leaves. */
export interface CoupledWeights {
  readonly features: readonly (Omit<CouplingFeature, 'observable'> & {
    readonly hook: string;
    readonly warnings: readonly string[];
  })[];
  readonly C: readonly (readonly number[])[];
  readonly cos: readonly (readonly number[])[];
  /** One for each observable: a feature of it, and its angles, radians. */
  readonly norms: readonly (FinalNormAngles & { readonly feature: number })[];
  /** Cosines between W_U n of the observables of `norms`: what they have in common before any path (a control). */
  readonly unembedded: readonly (readonly number[])[];
  readonly norm: NormMode;
  readonly point: LinearisationPoint;
  readonly forwardPasses: number;
}

interface Asked {
  readonly specs: readonly CoupledFeature[];
  readonly row?: string | number;
  readonly corpus: string | null;
  readonly sample: number;
}

const inDegrees = (radians: number): number => (radians * 180) / Math.PI;

/** The name that a person gave it, or its terms. */
function observableName({ observable }: CoupledFeature, terms: string): string {
  return typeof observable === 'string' ? observable : terms;
}

/** Features with names that tell them apart: the nodes, with their tokens where those are all that differs. */
function namedFeatures(specs: readonly CoupledFeature[], features: CoupledWeights['features']): CouplingFeature[] {
  const named = features.map(({ node, path, norm, terms }, i) => ({
    ...{ observable: observableName(specs[i], terms), node, path, norm, terms },
  }));
  const alike = (a: CouplingFeature, b: CouplingFeature) => a.observable === b.observable && a.node === b.node;
  return named.map((own) => (named.filter((one) => alike(one, own)).length > 1 ? { ...own, node: own.path } : own));
}

/** Names of features in values: `gender:L21.H4`, as in other steps; a second one of a name gets its number. */
function keysOf(features: readonly CouplingFeature[]): string[] {
  const keys = features.map(({ observable, node }) => `${observable}:${node}`.replaceAll(/\s+/g, ''));
  return keys.map((key, i) => (keys.indexOf(key) === i ? key : `${key}#${i + 1}`));
}

const points = 80;

function normCard({ runner }: StepContext, observable: string, { prompt, boundary }: FinalNormAngles): NormCard {
  const { norm, dModel } = runner.config;
  const random = randomAngle(norm.kind, dModel);
  const most = random.quantile(0.9999);
  const pointOf = ({ angle, rho }: FinalNormAngles['prompt']): NormPoint => ({ angle: inDegrees(angle), rho });
  return {
    observable,
    d: dModel,
    kind: norm.kind === 'layernorm' ? 'LayerNorm' : 'RMSNorm',
    expected: inDegrees(random.expected),
    bound: random.bound === null ? null : inDegrees(random.bound),
    density: Array.from({ length: points + 1 }, (_, i): [number, number] => {
      const angle = (most * i) / points;
      return [inDegrees(angle), random.density(angle) / inDegrees(1)];
    }),
    prompt: pointOf(prompt),
    boundary: boundary === null ? null : pointOf(boundary),
  };
}

/** The scores of the sample, and the text around its tokens. */
function pictureCorpus({ model }: StepContext, name: string, { moments, sample }: CouplingCorpus) {
  const { tokenizer } = model;
  const n = moments.own.rows;
  return {
    ...{ name, tokens: moments.own.count, sampling: `${count(sample.length)} drawn at random` },
    means: Array.from({ length: n }, (_, i) => moments.own.meanOfRow(i)),
    sample: {
      values: sample.map(({ scores }) => scores),
      tokens: sample.map(({ ids, at }) => tokenizer.tokenText(ids[at])),
      contexts: sample.map(({ ids, at }) => {
        const near = ids.slice(Math.max(0, at - CONTEXT / 3), at + CONTEXT / 3 + 1);
        return tokenizer.decode(near).replaceAll(/\s+/g, ' ').trim();
      }),
    },
  };
}

function pictureOf(context: StepContext, asked: Asked, weights: CoupledWeights, read: CouplingCorpus | null) {
  const features = namedFeatures(asked.specs, weights.features);
  const pairs = (value: (row: number, column: number) => number | null) =>
    features.map((_, row) => features.map((__, column) => value(row, column)));
  const line = (row: number, column: number) => (read === null ? null : fittedLine(read.moments.own, row, column));
  const picture: CouplingPicture = {
    ...{ type: 'coupling', id: 'coupling', title: 'Column feature, per unit of row feature', subtitle: '' },
    features,
    values: {
      C: weights.C,
      cos: weights.cos,
      CS: pairs((row, column) => read?.moments.covariance(row, column) ?? null),
      slope: pairs((row, column) => line(row, column)?.slope ?? null),
      se: pairs((row, column) => line(row, column)?.slopeError ?? null),
      r2: pairs((row, column) => line(row, column)?.rSquared ?? null),
    },
    corpus: read === null || asked.corpus === null ? null : pictureCorpus(context, asked.corpus, read),
    norms: weights.norms.map(({ feature, ...angles }) => normCard(context, features[feature].observable, angles)),
    point: weights.point,
  };
  return picture;
}

/** Numbers that `expect:` may name: `C.gender:L1.H1>bias:L1.H1`, `angle.gender.prompt`. */
function valuesOf({ features, values, norms, corpus }: CouplingPicture): Record<string, number> {
  const named: Record<string, number> = {};
  const put = (name: string, value: number | null | undefined) => {
    if (value !== null && value !== undefined) named[name] = value;
  };
  const keys = keysOf(features);
  for (const [row, from] of keys.entries()) {
    put(`norm.${from}`, features[row].norm);
    for (const [column, to] of keys.entries()) {
      if (row === column) continue;
      for (const measure of [...couplingMeasures, 'r2'] as const)
        put(`${measure}.${from}>${to}`, values[measure][row][column]);
    }
  }
  for (const { observable, expected, bound, prompt, boundary } of norms) {
    const name = observable.replaceAll(/\s+/g, '');
    put('angle.expected', expected);
    put('angle.bound', bound);
    for (const [place, point] of [['prompt', prompt] as const, ['boundary', boundary] as const]) {
      put(`angle.${name}.${place}`, point?.angle);
      put(`rho.${name}.${place}`, point?.rho);
    }
  }
  put('tokens', corpus?.tokens);
  return named;
}

/** Pairs of observables whose control is written under the title. */
const SPOKEN = 3;

/** What observables have in common before any path: small vocabularies reuse one axis, and then all features are alike. */
function controlsOf({ norms, unembedded }: CoupledWeights, features: readonly CouplingFeature[]) {
  const names = norms.map(({ feature }) => features[feature].observable);
  return names.flatMap((from, i) => names.slice(i + 1).map((to, k) => ({ from, to, cos: unembedded[i][i + 1 + k] })));
}

const formula = 'C = y₁·y₂ / |y₁|², expected score of the column when the row fires with 1';

/** The step as far as its cells are there. */
export function coupledStep(
  context: StepContext,
  asked: Asked,
  weights: CoupledWeights | null,
  parts: readonly CouplingShare[],
): StepResult {
  if (weights === null) {
    const nothing = { pictures: [], values: {}, warnings: [], ablation: 'none' };
    return { title: 'How features couple', subtitle: `${formula} · nothing is computed yet`, ...nothing };
  }
  const measured = parts.filter(({ own }) => own.count > 0);
  const read =
    measured.length === 0 ? null : joinCouplingShares(context.runner, weights.features, measured, asked.sample);
  const picture = pictureOf(context, asked, weights, read);
  const { row = context.task.items[0].id } = asked;
  const made = `features made at row ${row}, norm mode ${weights.norm}, point ${weights.point}`;
  const of = picture.corpus === null ? 'weights only' : `n = ${count(picture.corpus.tokens)} tokens of ${asked.corpus}`;
  const controls = controlsOf(weights, picture.features);
  const before = controls.slice(0, SPOKEN).map(({ from, to, cos }) => `${from} and ${to} ${signedFixed(cos)}`);
  const control = before.length === 0 ? '' : ` · cos of W_U n, before any path: ${before.join(', ')}`;
  const empty = parts.length > 0 && read === null ? [`${asked.corpus} has no text of two tokens or more.`] : [];
  return {
    title: couplingTitle(picture),
    subtitle: `${formula} · ${made}${control} · ${of} · no ablation`,
    pictures: [picture],
    values: {
      ...valuesOf(picture),
      ...Object.fromEntries(controls.map(({ from, to, cos }) => [`cosU.${from}>${to}`.replaceAll(/\s+/g, ''), cos])),
    },
    warnings: [
      ...new Set(
        weights.features.flatMap(({ warnings }, i) =>
          warnings.map((own) => `${picture.features[i].observable}: ${own}`),
        ),
      ),
      ...(read === null || asked.corpus === null ? [] : extentWarnings(asked.corpus, read)),
      ...empty,
    ],
    ablation: 'none',
  };
}
