import { MechanistError } from './errors.ts';
import type { SampleSummary } from './metric.ts';

/** Random numbers from a seed: the same on every machine, for ever. */
export interface Random {
  /** The next 32 bits, as an integer from 0 to 2³² − 1. */
  uint32(): number;
  /** Uniform in [0, 1), 53 bits. */
  uniform(): number;
  /** A whole number from 0 to n − 1, each equally likely. */
  below(n: number): number;
  /** Standard normal (polar method of Marsaglia). */
  normal(): number;
  /** 0 … n − 1 in random order (Fisher and Yates). */
  permutation(n: number): number[];
}

const rotateLeft = (x: number, k: number) => (x << k) | (x >>> (32 - k));

/**
 * The generator's four words of state from one seed: a Weyl sequence through a 32-bit mixer that is one to one (splitmix32,
 * constants of Steele and Vigna's successors as collected by bryc), so that the words differ and are not all 0.
 */
function stateFrom(seed: number): Int32Array {
  const state = new Int32Array(4);
  // Both halves of the seed count, so that seeds that differ by 2³² differ.
  let x = (seed >>> 0) ^ Math.imul(Math.floor(seed / 2 ** 32), 0x85ebca6b);
  for (let i = 0; i < 4; i++) {
    x = (x + 0x9e3779b9) | 0;
    let z = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    state[i] = z ^ (z >>> 15);
  }
  return state;
}

/**
 * xoshiro128** 1.1 (Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2018) from four words that are
 * not all 0. The one generator of Mechanist: whatever is random says the seed it was made with.
 */
export function randomFromState(state: readonly [number, number, number, number]): Random {
  let [s0, s1, s2, s3] = state.map((x) => x | 0) as [number, number, number, number];
  let spare: number | null = null;
  const uint32 = () => {
    const result = Math.imul(rotateLeft(Math.imul(s1, 5), 7), 9) >>> 0;
    const t = s1 << 9;
    s2 ^= s0;
    s3 ^= s1;
    s1 ^= s2;
    s0 ^= s3;
    s2 ^= t;
    s3 = rotateLeft(s3, 11);
    return result;
  };
  const uniform = () => ((uint32() >>> 5) * 67108864 + (uint32() >>> 6)) / 9007199254740992;
  const below = (n: number) => {
    if (!Number.isSafeInteger(n) || n < 1 || n > 2 ** 32) throw new RangeError(`below(${n})`);
    // Numbers in the last, incomplete stretch of n are drawn again, so that none is likelier.
    const limit = 2 ** 32 - (2 ** 32 % n);
    let x = uint32();
    while (x >= limit) x = uint32();
    return x % n;
  };
  const normal = () => {
    if (spare !== null) {
      const value = spare;
      spare = null;
      return value;
    }
    for (;;) {
      const u = 2 * uniform() - 1;
      const v = 2 * uniform() - 1;
      const square = u * u + v * v;
      if (square >= 1 || square === 0) continue;
      const factor = Math.sqrt((-2 * Math.log(square)) / square);
      spare = v * factor;
      return u * factor;
    }
  };
  const permutation = (n: number) => {
    const order = Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = below(i + 1);
      const moved = order[i];
      order[i] = order[j];
      order[j] = moved;
    }
    return order;
  };
  return { uint32, uniform, below, normal, permutation };
}

/** A list in random order. */
export function shuffled<T>(values: readonly T[], random: Random): readonly T[] {
  return random.permutation(values.length).map((i) => values[i]);
}

/**
 * Random numbers from a seed, a whole number from 0.
 * @throws MechanistError `bad-input` for any other seed
 */
export function seededRandom(seed: number): Random {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new MechanistError('bad-input', `A seed is a whole number from 0, not ${seed}.`);
  }
  const [a, b, c, d] = stateFrom(seed);
  return randomFromState([a, b, c, d]);
}

function checkSample(values: ArrayLike<number>): void {
  if (values.length === 0) throw new MechanistError('bad-input', 'There are no values to take a mean of.');
  for (let i = 0; i < values.length; i++) {
    if (Number.isFinite(values[i])) continue;
    throw new MechanistError(
      'bad-input',
      `Value ${i + 1} of ${values.length} is ${values[i]}: nothing can be said about their mean.`,
      {
        index: i,
      },
    );
  }
}

/**
 * Mean and sum of squared deviations, by Welford's updates: equal values give exactly that value and 0.
 */
function moments(values: ArrayLike<number>): { mean: number; squares: number } {
  let mean = 0;
  let squares = 0;
  for (let i = 0; i < values.length; i++) {
    const delta = values[i] - mean;
    mean += delta / (i + 1);
    squares += delta * (values[i] - mean);
  }
  return { mean, squares };
}

/** Arithmetic mean. @throws MechanistError `bad-input` for an empty sample, NaN or ∞ */
export function mean(values: ArrayLike<number>): number {
  checkSample(values);
  return moments(values).mean;
}

/** Sample standard deviation, n − 1 in the denominator; null for n = 1. @throws MechanistError `bad-input` as `mean` */
export function standardDeviation(values: ArrayLike<number>): number | null {
  checkSample(values);
  return values.length < 2 ? null : Math.sqrt(moments(values).squares / (values.length - 1));
}

/** Standard error of the mean; null for n = 1. @throws MechanistError `bad-input` as `mean` */
export function standardError(values: ArrayLike<number>): number | null {
  const sd = standardDeviation(values);
  return sd === null ? null : sd / Math.sqrt(values.length);
}

/**
 * Value below which the share `q` of a sorted sample lies, linear between neighbours (type 7 of Hyndman and Fan, as NumPy).
 */
export function quantileOfSorted(sorted: ArrayLike<number>, q: number): number {
  const at = (sorted.length - 1) * q;
  const low = sorted[Math.floor(at)];
  const high = sorted[Math.ceil(at)];
  return low + (high - low) * (at - Math.floor(at));
}

export interface BootstrapOptions {
  readonly seed: number;
  /** Share of the bootstrap means inside the interval. @default 0.95 */
  readonly level?: number;
  /** @default 2000 */
  readonly resamples?: number;
}

/**
 * Percentile bootstrap interval of the mean (Efron 1979): means of `resamples` samples of n values drawn with replacement,
 * between their (1 − level) / 2 and (1 + level) / 2 quantiles. Null for n = 1. Time n · resamples.
 * @throws MechanistError `bad-input` as `mean`, and for a level outside (0, 1) or fewer than 2 resamples
 */
export function bootstrapInterval(values: ArrayLike<number>, options: BootstrapOptions): SampleSummary['interval'] {
  const { seed, level = 0.95, resamples = 2000 } = options;
  checkSample(values);
  if (!(level > 0 && level < 1))
    throw new MechanistError('bad-input', `The level of an interval lies between 0 and 1, not ${level}.`);
  if (!Number.isSafeInteger(resamples) || resamples < 2) {
    throw new MechanistError('bad-input', `A bootstrap needs at least 2 resamples, not ${resamples}.`);
  }
  const n = values.length;
  const random = seededRandom(seed);
  if (n < 2) return null;
  const centre = moments(values).mean;
  const means = new Float64Array(resamples);
  for (let r = 0; r < resamples; r++) {
    // Deviations from the mean are summed, so that equal values give exactly that value.
    let sum = 0;
    for (let i = 0; i < n; i++) sum += values[random.below(n)] - centre;
    means[r] = centre + sum / n;
  }
  means.sort();
  return {
    low: quantileOfSorted(means, (1 - level) / 2),
    high: quantileOfSorted(means, (1 + level) / 2),
    level,
    resamples,
    seed,
  };
}

/**
 * Mean, spread and bootstrap interval of a sample.
 * @throws MechanistError `bad-input` as `bootstrapInterval`
 */
export function summarize(values: ArrayLike<number>, options: BootstrapOptions): SampleSummary {
  return {
    n: values.length,
    mean: mean(values),
    sd: standardDeviation(values),
    se: standardError(values),
    interval: bootstrapInterval(values, options),
  };
}
