import type { PathPatchRequest } from '../../shared/gridDocument.ts';
import type { ModelInfo } from '../../shared/modelInfo.ts';

type Receiver = Exclude<PathPatchRequest['receivers'], 'final'>[number];

/** How receivers are written. */
export const exampleReceivers = 'L9.H6.q, L9.H9.q';

/** `L9.H6.q, L10.H0.v` as receivers; a sentence where it is none of this model's. */
export function readReceivers(text: string, info: Pick<ModelInfo, 'nLayers' | 'nHeads'>): readonly Receiver[] | string {
  const words = text.split(/[\s,;]+/).filter((word) => word !== '');
  if (words.length === 0) return `Write heads and inputs, as ${exampleReceivers}.`;
  const receivers: Receiver[] = [];
  for (const word of words) {
    const match = /^L(\d+)\.?H(\d+)\.([qkv])$/i.exec(word);
    if (!match) return `${word} is no input of a head. Write it as ${exampleReceivers}.`;
    const [layer, head] = [Number(match[1]), Number(match[2])];
    if (layer >= info.nLayers) return `${word}: the layers go from L0 to L${info.nLayers - 1}.`;
    if (head >= info.nHeads) return `${word}: the heads go from H0 to H${info.nHeads - 1}.`;
    receivers.push({ layer, head, input: match[3]?.toLowerCase() as Receiver['input'] });
  }
  return receivers;
}
