import { describe, expect, it } from 'vitest';
import { parsePath, printPath } from '../../../src/core/tasks/pathText.ts';
import { requirePath, resolvePath } from '../../../src/core/tasks/resolvePath.ts';

const sizes = { nLayers: 24, nHeads: 16 };
const known = { sizes, roles: ['name', 'end'], length: 9 };
const prompt = { length: 9, position: 8, roles: { name: [1, 2], end: [8] } };
const nodesOf = (text: string) => resolvePath(requirePath(text, known), prompt);

/** The words that are complained about, and what is suggested. */
function complaints(text: string, more: object = {}) {
  const { problems } = parsePath(text, { ...known, ...more });
  return problems.map(({ start, end, suggestion, message }) => [text.slice(start, end), suggestion, message]);
}

describe('paths as people write them', () => {
  it('name heads, MLPs and the embedding, nearest the logits first', () => {
    expect(nodesOf('L21.H4@7 <= L18.H7@3 <= MLP 12@3')).toEqual([
      { kind: 'head', layer: 21, head: 4, position: 6 },
      { kind: 'head', layer: 18, head: 7, position: 2 },
      { kind: 'mlp', layer: 12, position: 2 },
    ]);
    expect(nodesOf('l21h4@-1<=MLP12<=emb')).toEqual([
      { kind: 'head', layer: 21, head: 4, position: 8 },
      { kind: 'mlp', layer: 12, position: 8 },
      { kind: 'embedding', position: 8 },
    ]);
  });

  it('give the token by a role, from the end, or leave it to the prompt', () => {
    expect(nodesOf('L2.H1@name')).toEqual([{ kind: 'head', layer: 2, head: 1, position: 2 }]);
    expect(nodesOf('L2.H1@-7')[0].position).toBe(2);
    expect(nodesOf('L2.H1')[0].position).toBeNull();
  });

  it('let an MLP keep the token, and a head read where the MLP before it stands', () => {
    expect(nodesOf('L5.H0 <= MLP 3@2').map(({ position }) => position)).toEqual([1, 1]);
    expect(nodesOf('MLP 5 <= L5.H0@2').map(({ position }) => position)).toEqual([8, 1]);
    expect(nodesOf('L5.H0 <= L4.H0@2').map(({ position }) => position)).toEqual([null, 1]);
    expect(nodesOf('L5.H0 <= MLP 4 <= MLP 3@2').map(({ position }) => position)).toEqual([1, 1, 1]);
    expect(nodesOf('L5.H0 <= MLP 4 <= emb@2').map(({ position }) => position)).toEqual([1, 1, 1]);
    expect(nodesOf('L5.H0 <= MLP 4 <= L3.H1@2').map(({ position }) => position)).toEqual([null, null, 1]);
  });

  it.each(['L21.H4@7 <= L18.H7@3 <= MLP 12@3', 'emb@9', 'MLP 3@9 <= L3.H1@2'])(
    'print as they were read: %s',
    (text) => {
      expect(printPath(nodesOf(text))).toBe(text);
      expect(printPath(nodesOf(text), false)).toBe(text.replace(/@\d/g, ''));
    },
  );

  it.each([
    ['9.6', '9.6', 'L9.H6'],
    ['L3.H1 <= A2.6', 'A2.6', 'L2.H6'],
    ['m3@4', 'm3', 'MLP 3'],
    ['embed', 'embed', 'emb'],
    ['L21.H', 'L21.H', 'L21.H0'],
    ['L2.H1@nmae', 'nmae', 'name'],
    ['L2.H1 <- MLP 1', '<-', '<='],
  ])('get a suggestion at the word: %s', (text, word, suggestion) => {
    expect(complaints(text)[0].slice(0, 2)).toEqual([word, suggestion]);
  });

  it.each([
    ['', 'A node is missing'],
    ['L2.H1 <=', 'A node is missing'],
    ['L24.H1', 'layers are 0 to 23'],
    ['L2.H16', 'heads 0 to 15'],
    ['L2.H1@0', 'counted from 1'],
    ['L2.H1@12', 'has 9'],
    ['L2.H1@', 'comes a token'],
    ['L2.H1@who', 'name, end'],
    ['L2.H1 <= L2.H0', 'L2.H0 does not write to what L2.H1 reads'],
    ['MLP 2 <= MLP 2', 'does not write'],
    ['emb <= MLP 2', 'Nothing comes before emb'],
    ['\u0000☃'.repeat(200), 'no node'],
  ])('are refused with the reason: %s', (text, reason) => {
    expect(complaints(text)[0][2]).toContain(reason);
    expect(() => requirePath(text, known)).toThrow(reason);
  });

  it('go from an MLP to attention of its layer, but not where the two are parallel', () => {
    expect(complaints('MLP 2 <= L2.H1')).toEqual([]);
    expect(complaints('MLP 2 <= L2.H1', { sizes: { ...sizes, parallelResidual: true } })).toHaveLength(1);
  });

  it.each([
    ['MLP 3@2', 'keeps its token'],
    ['L5.H1@3 <= MLP 2@2', 'keeps its token'],
    ['L5.H1@3 <= L2.H0@5', 'comes later'],
  ])('are refused on a prompt that they cannot be on: %s', (text, reason) => {
    expect(() => nodesOf(text)).toThrow(reason);
  });

  it('need the role on the prompt itself', () => {
    expect(() => resolvePath(requirePath('L1.H1@name', known), { ...prompt, roles: {} })).toThrow('no role "name"');
  });
});
