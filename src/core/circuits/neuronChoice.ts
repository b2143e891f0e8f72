import type { NeuronChoice } from './selection.ts';

/** Neurons of a layer that are all in, all out, or all at the same places. */
export function neuronsLike(count: number, value: number, places?: readonly string[]): MutableChoice {
  const at = new Map<number, readonly string[]>();
  if (places !== undefined) for (let neuron = 0; neuron < count; neuron += 1) at.set(neuron, places);
  return { keep: new Uint8Array(count).fill(value), at };
}

export interface MutableChoice {
  readonly keep: Uint8Array;
  readonly at: Map<number, readonly string[]>;
}

/** Sets a neuron: kept, or kept at some places only. */
export function keepNeuron({ keep, at }: MutableChoice, neuron: number, places: readonly string[] | undefined): void {
  keep[neuron] = places === undefined ? 1 : 2;
  if (places === undefined) at.delete(neuron);
  else at.set(neuron, places);
}

/** What is in changes place with what is out. */
export function oppositeNeurons({ keep, at }: NeuronChoice): NeuronChoice {
  const opposite = [1, 0, 3, 2];
  return { keep: keep.map((value) => opposite[value]), at };
}

/**
 * Layers in which some neurons are in and others out. A layer whose neurons are all in, or all out, is its MLP: that is what
 * `mlp` is told instead.
 */
export function settleNeurons(
  layers: ReadonlyMap<number, NeuronChoice>,
  mlp: (layer: number, value: 0 | 1) => void,
): ReadonlyMap<number, NeuronChoice> | undefined {
  const mixed = new Map<number, NeuronChoice>();
  for (const [layer, choice] of layers) {
    const [first] = choice.keep;
    if (first < 2 && choice.keep.every((value) => value === first)) mlp(layer, first === 1 ? 1 : 0);
    else {
      // The choice is made at the neurons: what they give is the MLP's output.
      mlp(layer, 1);
      mixed.set(layer, choice);
    }
  }
  return mixed.size === 0 ? undefined : mixed;
}
