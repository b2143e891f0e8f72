import { describe, expect, it } from 'vitest';
import { carriersOf, carrierTable } from '../../../src/extension/hover/carriedBy.ts';
import { hoverCard } from '../../../src/extension/hover/hoverCard.ts';
import { palettes } from '../../../src/shared/palette.ts';
import type { LensTable } from '../../../src/shared/traceDocument.ts';
import { makeTrace } from '../../support/traceFixture.ts';

const target = { uri: 'file:///a.prompt', prompt: 0 };
const lens: LensTable = {
  rows: ['emb', 'L0', 'L1', 'L2', 'L3', 'L4'],
  positions: [6],
  values: [[0.04], [0.07], [-0.2], [0.49], [Number.NaN], [0.86]],
  top: ['a', '|b', '<i>', '`d', ' e', '\n'].map((text, id) => [{ id, text, p: 0.31 }]),
};

const number = (text: string) => Number(text.replace('−', '-').replace('+', ''));

describe('carrierTable', () => {
  it.each([0, 6, 8])('adds up to the last digit shown, and to the token attribution (token %i)', (token) => {
    const document = makeTrace({ biases: true });
    const table = carrierTable(document, token);
    expect(table.rows).toHaveLength(6);
    const column = [...table.rows.map((r) => r.text), table.others.text].map(number).reduce((a, b) => a + b, 0);
    expect(column).toBeCloseTo(number(table.sum.text), 6);
    expect(table.sum.value).toBeCloseTo(document.attributions[token], 4);
    const sizes = table.rows.map((r) => Math.abs(r.value));
    expect(sizes).toEqual([...sizes].sort((a, b) => b - a));
  });

  it('counts MLPs, embeddings and biases at the position of the observable only', () => {
    const document = makeTrace({ biases: true });
    const names = (token: number) => carriersOf(document, token).map((c) => c.name);
    expect(names(0)).toHaveLength(270);
    expect(names(document.position)).toHaveLength(270 + 30 + 3);
    expect(names(document.position)).toContain('MLP 29');
    expect(carriersOf(document, 0).every((c) => c.attention !== null)).toBe(true);
  });
});

describe('hoverCard', () => {
  const card = (change: Partial<Parameters<typeof hoverCard>[0]> = {}) =>
    hoverCard({ document: makeTrace(), token: 6, lens, scaleMax: 2, palette: palettes.dark, target, ...change });
  /** Without the spaces that keep words on one line. */
  const wordsOf = (text: string) => text.replaceAll('\u00a0', ' ');

  it('has its parts in the order of the design', () => {
    const text = wordsOf(card());
    const parts = [
      'token id',
      'position <strong>7</strong> of 9',
      'Adds to',
      '% of',
      'Carried by',
      'others',
      'sum',
      'Logit lens here',
      'Open Trace at This Token',
      'Copy as JSON',
      'n = 1 prompt',
      'no ablation',
    ];
    const places = parts.map((part) => text.indexOf(part));
    expect(
      places.every((p) => p >= 0),
      JSON.stringify(places),
    ).toBe(true);
    expect(places).toEqual([...places].sort((a, b) => a - b));
  });

  it('names the direct split and shows no share for occlusion', () => {
    const text = wordsOf(card({ document: makeTrace({ method: 'occlusion' }) }));
    expect(text).toContain('Direct split');
    expect(text).not.toContain('Carried by');
    expect(text).not.toContain('% of');
    expect(text).toContain('mean embedding');
  });

  it('escapes tokens, so that no text becomes markup', () => {
    const document = makeTrace({ tokens: ['<img src=x onerror=1>', '|`$\\', ' **b** [x](command:evil)'] });
    for (const token of [0, 1, 2]) {
      const text = card({ document, token, lens });
      expect(text).not.toContain('<img src=x');
      expect(text).not.toContain('](command:evil');
      expect(text).not.toContain('<i>');
    }
  });

  it('says so in words when there is no lens', () => {
    expect(card({ lens: 'Computing…' })).toContain('Computing…');
  });

  it('links to commands with an argument that can be read back', () => {
    const link = /href="command:mechanist\.openTraceAtToken\?([^"]*)"/.exec(card())?.[1] ?? '';
    expect(JSON.parse(decodeURIComponent(link))).toEqual([{ ...target, token: 6 }]);
  });

  it('has columns of equal length, so that lines stay level, and no line that can wrap', () => {
    for (const change of [{}, { lens: 'Computing…' }, { document: makeTrace({ tokens: ['a'] }), token: 0 }]) {
      const [, columns] = /<hr><table><tr>(.*)<\/tr><\/table><hr>/.exec(card(change)) ?? [];
      const cells = (columns ?? '').split(/<td[^>]*>/).slice(1, 5);
      const lengths = cells.map((cell) => cell.split('<br>').length);
      expect(new Set(lengths).size, String(lengths)).toBe(1);
      expect(cells.map((cell) => cell.replaceAll(/<[^>]*>/g, '')).join('')).not.toMatch(/ /);
    }
  });

  it('says that heads rest at the first token where no BOS takes them, and nowhere else', () => {
    expect([card({ token: 0 }), card({ token: 1 })].map((text) => text.includes('idle heads rest here'))).toEqual([
      true,
      false,
    ]);
    const document = makeTrace();
    const begun = { ...document, provenance: { ...document.provenance, bos: 'added by the tokenizer' as const } };
    expect(card({ token: 0, document: begun })).not.toContain('idle heads');
  });

  it('draws pictures with the numbers in words, also for NaN and in high contrast', () => {
    const text = card({ palette: palettes.highContrastDark });
    const pictures = [...text.matchAll(/<img src="data:image\/svg\+xml;base64,([^"]+)"[^>]*alt="([^"]*)"/g)];
    expect(pictures.length).toBeGreaterThan(8);
    expect(pictures[0]?.[2]).toMatch(/logits on a scale from −2 to \+2/);
    for (const [, data] of pictures) expect(atob(data ?? '')).not.toContain('NaN');
    expect(pictures.map(([, data]) => atob(data ?? '')).join('')).toContain('stroke-dasharray');
  });
});
