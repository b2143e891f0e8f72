import type { Activation } from '../models/modelConfig.ts';

/** An activation function and its derivative. */
export interface ActivationFunction {
  value(x: number): number;
  slope(x: number): number;
}

/** erf by its series with positive terms, to float64 precision. */
function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n += 1) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
const TANH_FACTOR = Math.sqrt(2 / Math.PI);
const TANH_CUBE = 0.044715;
const tanhOf = (x: number) => Math.tanh(TANH_FACTOR * (x + TANH_CUBE * x ** 3));

const FUNCTIONS: Readonly<Record<Activation, ActivationFunction>> = {
  gelu: {
    value: (x) => (x / 2) * (1 + erf(x * Math.SQRT1_2)),
    slope: (x) => (1 + erf(x * Math.SQRT1_2)) / 2 + (x * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI),
  },
  gelu_new: {
    value: (x) => (x / 2) * (1 + tanhOf(x)),
    slope: (x) => {
      const t = tanhOf(x);
      return (1 + t) / 2 + (x / 2) * (1 - t * t) * TANH_FACTOR * (1 + 3 * TANH_CUBE * x * x);
    },
  },
  silu: {
    value: (x) => x * sigmoid(x),
    slope: (x) => sigmoid(x) * (1 + x * (1 - sigmoid(x))),
  },
  relu: { value: (x) => Math.max(0, x), slope: (x) => (x > 0 ? 1 : 0) },
};

/** In float64, as the engine's graphs have it in float32. */
export function activationFunction(activation: Activation): ActivationFunction {
  return FUNCTIONS[activation];
}
