import { MechanistError } from '../../../shared/errors.ts';
import { parseNodeName, requireNode } from '../../circuits/nodeNames.ts';
import type { StepContext } from '../stepKind.ts';

export interface Head {
  readonly layer: number;
  readonly head: number;
  /** `L8.H11` */
  readonly name: string;
}

export function headName(layer: number, head: number): string {
  return `L${layer}.H${head}`;
}

/**
 * Heads by name, or those of a circuit by its name; each once, in the order given.
 * @throws MechanistError `bad-input`: no such head or circuit, or no head at all
 */
export function headsOf(context: StepContext, names: readonly string[]): readonly Head[] {
  const found = new Map<string, Head>();
  const add = (name: string) => {
    const part = requireNode(name, context.model.config);
    if (part.kind !== 'head') throw new MechanistError('bad-input', `${name} is no head. Write heads as L8.H11.`);
    const { layer, head } = part;
    found.set(headName(layer, head), { layer, head, name: headName(layer, head) });
  };
  for (const name of names) {
    if (parseNodeName(name) !== null) add(name);
    else for (const { node } of context.circuit(name).nodes) if (parseNodeName(node)?.kind === 'head') add(node);
  }
  if (found.size > 0) return [...found.values()];
  throw new MechanistError('bad-input', `${names.join(', ')}: there is no head in it.`);
}

/** Hooks of the layers of some heads. */
export function layerHooks(heads: readonly Head[], ...hooks: readonly string[]): string[] {
  const layers = [...new Set(heads.map(({ layer }) => layer))];
  return layers.flatMap((layer) => hooks.map((hook) => `blocks.${layer}.${hook}`));
}

export function topLayer(heads: readonly Head[]): number {
  return Math.max(...heads.map(({ layer }) => layer));
}
