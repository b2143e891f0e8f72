import { describe, expect, it } from 'vitest';
import { dot } from '../../../src/core/observables/coupling.ts';
import { type NormShape, ownAngle, randomAngle } from '../../../src/core/observables/normAngle.ts';
import { mean, type Random, seededRandom, standardError } from '../../../src/shared/statistics.ts';

const gaussian = (random: Random, d: number) => Float64Array.from({ length: d }, () => random.normal());

/** n · N(x) with gain γ, without bias. */
function measured({ kind, eps }: NormShape, gain: Float64Array, n: Float64Array, x: Float64Array): number {
  const centre = kind === 'layernorm' ? mean(x) : 0;
  const scale = Math.sqrt(mean(x.map((value) => (value - centre) ** 2)) + eps);
  return n.reduce((sum, value, i) => sum + (value * gain[i] * (x[i] - centre)) / scale, 0);
}

function gradient(norm: NormShape, gain: Float64Array, n: Float64Array, x: Float64Array): Float64Array {
  const step = 1e-4;
  return x.map((value, i) => {
    const up = measured(norm, gain, n, x.with(i, value + step));
    return (up - measured(norm, gain, n, x.with(i, value - step))) / (2 * step);
  });
}

/** E[cos θ] of the angle of a random direction: (d − 2)/(d − 1), or ∫ cos^(d−1) / ∫ cos^(d−2) over a quarter turn, by Wallis's product. */
function expectedCosine(kind: NormShape['kind'], d: number): number {
  if (kind === 'layernorm') return (d - 2) / (d - 1);
  const wallis = (n: number): number => (n < 2 ? (n === 0 ? Math.PI / 2 : 1) : ((n - 1) / n) * wallis(n - 2));
  return wallis(d - 1) / wallis(d - 2);
}

const angleOf = (a: Float64Array, b: Float64Array) => Math.acos(dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b)));

describe("an observable's own angle at a norm", () => {
  it.each([
    { kind: 'layernorm', eps: 0 },
    { kind: 'layernorm', eps: 0.5 },
    { kind: 'rmsnorm', eps: 0 },
    { kind: 'rmsnorm', eps: 0.5 },
  ] as const)('is that to the gradient, by central differences: $kind, eps $eps', (norm) => {
    const random = seededRandom(4);
    const d = 12;
    const gain = gaussian(random, d).map((value) => 1 + 0.3 * value);
    for (const share of [0, 0.6, 2]) {
      const x = gaussian(random, d).map((value) => value + 0.4);
      const n = gaussian(random, d).map((value, i) => value + (share * x[i]) / gain[i]);
      const w = n.map((value, i) => value * gain[i]);
      const found = ownAngle(norm, gain, n, x);
      expect(found.angle).toBeCloseTo(angleOf(w, gradient(norm, gain, n, x)), 6);
      if (norm.eps > 0) continue;
      // cos(Pw, gradient) = √(1 − ρ²)
      const centre = norm.kind === 'layernorm' ? mean(w) : 0;
      const centred = w.map((value) => value - centre);
      const cos = Math.cos(angleOf(centred, gradient(norm, gain, n, x)));
      expect(cos).toBeCloseTo(Math.sqrt(1 - found.rho ** 2), 6);
    }
  });

  it('is nearly that of centring alone at the decision boundary, where ρ is 0', () => {
    const random = seededRandom(5);
    const ones = new Float64Array(32).fill(1);
    const x = gaussian(random, 32);
    const n = gaussian(random, 32);
    const centred = x.map((value) => value - mean(x));
    const across = n.map((value, i) => value - (dot(n, centred) / dot(centred, centred)) * centred[i]);
    const { rho, angle } = ownAngle({ kind: 'layernorm', eps: 0 }, ones, across, x);
    expect(rho).toBeCloseTo(0, 12);
    expect(Math.sin(angle)).toBeCloseTo(Math.abs(mean(across)) * Math.sqrt(32 / dot(across, across)), 9);
  });
});

describe('the angle of a random direction', () => {
  it('of LayerNorm has the exact expectation and the bound of the theorem', () => {
    // methods §1.2: expectation, bound, cosine
    for (const [d, expected, bound, cosine] of [
      [8, 0.49087, 0.77519, 0.857143],
      [64, 0.15853, 0.25265, 0.984127],
      [128, 0.11143, 0.17771, 0.992126],
      [768, 0.045269, 0.072232, 0.998696],
      [2048, 0.027705, 0.044209, 0.999511],
    ]) {
      const angle = randomAngle('layernorm', d);
      expect(angle.expected).toBeCloseTo(expected, 5);
      expect(angle.bound).toBeCloseTo(bound, 5);
      expect(expectedCosine('layernorm', d)).toBeCloseTo(cosine, 6);
    }
    expect(randomAngle('layernorm', 7).bound).toBeNull();
    expect(randomAngle('rmsnorm', 6).bound).toBeNull();
    expect(() => randomAngle('rmsnorm', 2)).toThrow(/at least 3 dimensions/);
  });

  it.each([
    ['layernorm', 9],
    ['layernorm', 96],
    ['rmsnorm', 9],
    ['rmsnorm', 96],
    ['rmsnorm', 577],
  ] as const)(
    'of %s in %i dimensions has a density that integrates to 1, to its mean and to its quantiles',
    (kind, d) => {
      const angle = randomAngle(kind, d);
      const steps = 20_000;
      const h = Math.PI / 2 / steps;
      let [mass, first, cosine] = [0, 0, 0];
      const median = angle.quantile(0.5);
      let below = 0;
      for (let i = 0; i < steps; i += 1) {
        const t = (i + 0.5) * h;
        const share = angle.density(t) * h;
        mass += share;
        first += t * share;
        cosine += Math.cos(t) * share;
        if (t < median) below += share;
      }
      expect(mass).toBeCloseTo(1, 6);
      expect(first).toBeCloseTo(angle.expected, 7);
      expect(cosine).toBeCloseTo(expectedCosine(kind, d), 7);
      expect(below).toBeCloseTo(0.5, 2);
      expect(angle.quantile(0.025)).toBeLessThan(median);
      expect(angle.quantile(0.975)).toBeGreaterThan(median);
    },
  );

  it.each([
    ['layernorm', 64, 1],
    ['layernorm', 512, 2],
    ['rmsnorm', 64, 3],
    ['rmsnorm', 512, 4],
  ] as const)('of %s in %i dimensions is what simulation gives, and below the bound', (kind, d, seed) => {
    const random = seededRandom(seed);
    const gain = new Float64Array(d).fill(1);
    const x = gaussian(random, d).map((value) => 3 * value + 1);
    const claim = randomAngle(kind, d);
    const draws = Array.from({ length: 4000 }, () => ownAngle({ kind, eps: 0 }, gain, gaussian(random, d), x).angle);
    const cosines = draws.map(Math.cos);
    expect(Math.abs(mean(draws) - claim.expected)).toBeLessThan(3 * (standardError(draws) ?? 0));
    expect(Math.abs(mean(cosines) - expectedCosine(kind, d))).toBeLessThan(3 * (standardError(cosines) ?? 0));
    expect(mean(draws)).toBeLessThan(claim.bound ?? 0);
    const [low, high] = [claim.quantile(0.025), claim.quantile(0.975)];
    const inside = draws.filter((t) => t > low && t < high).length / draws.length;
    expect(Math.abs(inside - 0.95)).toBeLessThan(3 * Math.sqrt((0.95 * 0.05) / 4000));
  });

  it('stays near it with gains that are nearly alike, and falls with eps', () => {
    const random = seededRandom(6);
    const d = 256;
    const gain = gaussian(random, d).map((value) => 0.6 + 0.05 * value);
    const x = gaussian(random, d);
    const directions = Array.from({ length: 2000 }, () => gaussian(random, d));
    const angles = (eps: number) => directions.map((n) => ownAngle({ kind: 'layernorm', eps }, gain, n, x).angle);
    const { expected } = randomAngle('layernorm', d);
    expect(Math.abs(mean(angles(0)) / expected - 1)).toBeLessThan(0.03);
    expect(mean(angles(1))).toBeLessThan(mean(angles(0)));
  });
});
