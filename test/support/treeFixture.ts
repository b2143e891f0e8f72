import type { FiguresDocument, MatrixPicture } from '../../src/shared/figures.ts';
import { seededRandom } from '../../src/shared/statistics.ts';
import type { TreeLine, TreePicture } from '../../src/shared/treePicture.ts';
import { makeFigures } from './figuresFixture.ts';

const line = (depth: number, label: string, value: number, id: string): TreeLine => {
  const rest = /weaker|explained|attention/.test(label);
  return { id, depth, label, value, interval: [value - 0.2, value + 0.3], kind: rest ? 'rest' : 'node' };
};

/** Paths of a pronoun, with a node that works against it. */
export function makeTree(): TreePicture {
  const paths = ['MLP 29@END', 'MLP 29@END <= L25.H2@name', 'MLP 29@END <= L25.H2@name <= MLP 24@name'];
  return {
    ...{ type: 'tree', id: 'tree', unit: 'logits', n: 16 },
    title: '␣she − ␣he: MLP 29@END carries −52 % of the difference',
    subtitle: 'contribution of the path down to each line; mean, final norm real; n = 16',
    lines: [
      line(0, 'clean − corrupted', 6.22, ''),
      line(1, 'MLP 29@END', -3.23, paths[0]),
      line(2, 'L25.H2@name', -0.76, paths[1]),
      line(3, 'MLP 24@name', -0.46, paths[2]),
      line(3, '250 weaker paths', -0.29, `${paths[1]}|weaker`),
      line(3, 'not explained', -0.01, `${paths[1]}|rest`),
      line(2, '836 weaker paths', -2.0, `${paths[0]}|weaker`),
      line(2, 'not explained', -0.47, `${paths[0]}|rest`),
      line(1, 'L25.H2@name', 1.917, 'L25.H2@name'),
      line(1, 'L26.H2@name', 1.582, 'L26.H2@name'),
      line(1, 'attention that changes', 0.024, '|attention'),
      line(1, 'not explained', 5.93, '|rest'),
    ],
  };
}

function headMap(id: string, title: string, unit: string): MatrixPicture {
  const random = seededRandom(id.length);
  const sequential = id === 'norm';
  const layers = Array.from({ length: 30 }, (_, layer) => layer);
  const values = layers.map((layer) => Array.from({ length: 9 }, () => ((layer + 1) / 30) ** 6 * random.normal() * 3));
  return {
    ...{ type: 'matrix', id, title, unit, subtitle: 'what each head does; n = 120' },
    rows: { name: 'layer', labels: layers.map((layer) => `L${layer}`) },
    columns: { name: 'head', labels: Array.from({ length: 9 }, (_, head) => `H${head}`) },
    values: sequential ? values.map((row) => row.map((value) => Math.min(1, Math.abs(value) / 8))) : values,
    scale: sequential ? 'sequential' : 'diverging',
    ...(id === 'patched' && { descend: { under: null, tokens: ['name', 'END'] } }),
  };
}

/** A result of find-paths, and one of heads-map behind it. */
export function makePaths(): FiguresDocument {
  return {
    ...makeFigures(),
    ...{ analysis: 'find-paths', title: 'Paths that carry ␣she − ␣he', warnings: [], checks: [] },
    pictures: [
      makeTree(),
      headMap('norm', 'Norm of the feature: most at L26.H2, 107000', 'share of the largest'),
      headMap('direct', 'Direct contribution: most at L26.H2, +3.50', 'logits, clean'),
      headMap('difference', 'Clean − corrupted: most at L26.H2, +5.29', 'logits'),
      headMap('patched', 'Patched effect: most at L26.H2, +5.28', 'logits'),
    ],
  };
}
