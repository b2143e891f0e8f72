import { describe, expect, it } from 'vitest';
import { missingNode, nodeName, parseNodeName, requireNode } from '../../../src/core/circuits/nodeNames.ts';

const sizes = { nLayers: 12, nHeads: 12, dMlp: 3072 };

describe('names of nodes', () => {
  it.each([
    ['L9.H6', 'L9.H6'],
    ['l9h6', 'L9.H6'],
    ['a9.h6', 'L9.H6'],
    ['A9.6', 'L9.H6'],
    ['MLP 3', 'MLP 3'],
    ['m3', 'MLP 3'],
    ['MLP3', 'MLP 3'],
    ['N3.1207', 'N3.1207'],
    ['emb', 'emb'],
    ['input', 'emb'],
    ['Resid Start', 'emb'],
    ['logits', 'logits'],
    ['Resid End', 'logits'],
  ])('reads %s', (written, own) => {
    const part = parseNodeName(written);
    expect(part && nodeName(part)).toBe(own);
    expect(missingNode(written, sizes)).toBeNull();
  });

  it.each(['', 'L9', 'H6', 'L9.H6.Q', '9.6', 'MLP', 'L-1.H2', 'hook_z'])('refuses %j', (written) => {
    expect(parseNodeName(written)).toBeNull();
    expect(missingNode(written, sizes)).toMatch(/is no node\. Write a head as L9\.H6/);
  });

  it('says what the model has instead', () => {
    expect(missingNode('L12.H0', sizes)).toBe('The model has no L12.H0: its layers are 0 to 11.');
    expect(missingNode('a0.h12', sizes)).toBe('The model has no L0.H12: each layer has heads 0 to 11.');
    expect(missingNode('N0.3072', sizes)).toMatch(/neurons 0 to 3071/);
    expect(() => requireNode('MLP 12', sizes)).toThrow(/layers are 0 to 11/);
  });
});
