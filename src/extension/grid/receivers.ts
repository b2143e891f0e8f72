import type { HeadRef, PatchRequest, PathPatchRequest } from '../../shared/gridDocument.ts';
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

/** How heads are written: single ones, or one layer's. */
export const exampleHeads = 'L9.H6, L9.H9';

/** `L9.H6, L10.H0`, or `L9` for every head of a layer; a sentence where it is none of this model's. `nHeads`: in a layer. */
export function readHeads(
  text: string,
  { nLayers, nHeads }: Pick<ModelInfo, 'nLayers' | 'nHeads'>,
): NonNullable<PatchRequest['heads']> | string {
  const words = text.split(/[\s,;]+/).filter((word) => word !== '');
  const whole = words.length === 1 ? /^L(\d+)$/i.exec(words[0] ?? '') : null;
  const tooHigh = (layer: number) => (layer < nLayers ? null : `The layers go from L0 to L${nLayers - 1}.`);
  if (whole) return tooHigh(Number(whole[1])) ?? { layer: Number(whole[1]) };
  if (words.length === 0) return `Write heads, as ${exampleHeads}, or a layer, as L9.`;
  const heads: HeadRef[] = [];
  for (const word of words) {
    const match = /^L(\d+)\.?H(\d+)$/i.exec(word);
    if (!match) return `${word} is no head. Write ${exampleHeads}, or one layer, as L9.`;
    const [layer, head] = [Number(match[1]), Number(match[2])];
    const wrong = tooHigh(layer) ?? (head < nHeads ? null : `The heads go from H0 to H${nHeads - 1}.`);
    if (wrong) return `${word}: ${wrong}`;
    if (heads.some((one) => one.layer === layer && one.head === head)) return `${word} is there twice.`;
    heads.push({ layer, head });
  }
  return heads;
}
