import type { GradientGraph } from './gradientGraph.ts';

/** √(2/π) and the cubic coefficient of gelu_new. */
const TANH_FACTOR = Math.sqrt(2 / Math.PI);
const TANH_CUBE = 0.044715;

/**
 * How a gradient passes an activation function: `exact` by its derivative, `gate` by act(x) / x held constant (Φ(x) of
 * GELU, σ(x) of SiLU, the step of ReLU).
 */
export type ActivationMode = 'exact' | 'gate';

/** σ(2u) of gelu_new, where 2u = 2√(2/π) (x + 0.044715 x³); gelu_new(x) = x σ(2u). */
function tanhGate(graph: GradientGraph, x: string): { gate: string; twice: string } {
  const times = (a: string, b: string) => graph.op('Mul', [a, b]);
  const cubic = times(times(x, x), graph.scalar(2 * TANH_FACTOR * TANH_CUBE));
  const twice = times(graph.op('Add', [cubic, graph.scalar(2 * TANH_FACTOR)]), x);
  return { gate: graph.op('Sigmoid', [twice]), twice };
}

/** dy · gelu_new′(x); gelu_new′ = σ (1 + (1 − σ) (3 · 2u − 4√(2/π) x)), σ = σ(2u). */
export function tanhGeluGradient(graph: GradientGraph, x: string, dy: string, mode: ActivationMode): string {
  const times = (a: string, b: string) => graph.op('Mul', [a, b]);
  const { gate, twice } = tanhGate(graph, x);
  if (mode === 'gate') return times(dy, gate);
  const slope = graph.op('Sub', [times(twice, graph.scalar(3)), times(x, graph.scalar(4 * TANH_FACTOR))]);
  const rest = graph.op('Sub', [graph.scalar(1), gate]);
  const factor = graph.op('Add', [times(rest, slope), graph.scalar(1)]);
  return times(times(factor, gate), dy);
}

/** dy · gelu′(x); gelu′ = Φ(x) + x φ(x). */
export function geluGradient(graph: GradientGraph, x: string, dy: string, mode: ActivationMode): string {
  const times = (a: string, b: string) => graph.op('Mul', [a, b]);
  const erf = graph.op('Erf', [times(x, graph.scalar(Math.SQRT1_2))]);
  const gate = graph.op('Add', [times(erf, graph.scalar(0.5)), graph.scalar(0.5)]);
  if (mode === 'gate') return times(dy, gate);
  const density = graph.op('Exp', [times(times(x, x), graph.scalar(-0.5))]);
  const slope = times(times(density, x), graph.scalar(1 / Math.sqrt(2 * Math.PI)));
  return times(graph.op('Add', [gate, slope]), dy);
}

/** dy · silu′(x); silu′ = σ + y (1 − σ), with y = x σ. */
export function siluGradient(graph: GradientGraph, gate: string, y: string, dy: string, mode: ActivationMode): string {
  if (mode === 'gate') return graph.op('Mul', [dy, gate]);
  const rest = graph.op('Mul', [y, graph.op('Sub', [graph.scalar(1), gate])]);
  return graph.op('Mul', [dy, graph.op('Add', [gate, rest])]);
}

/** dy where x > 0, else 0: exact and gate are one. */
export function reluGradient(graph: GradientGraph, x: string, dy: string): string {
  const zero = graph.scalar(0);
  return graph.op('Where', [graph.op('Greater', [x, zero]), dy, zero]);
}
