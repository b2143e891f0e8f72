import type { CouplingPicture } from '../../shared/couplingPicture.ts';
import { visibleToken } from '../../shared/format.ts';
import type { TableColumn, TableModel, TableValue } from '../figures/DataTable.tsx';
import { featureName, type Pair } from './couplingOrder.ts';

const text = (id: string, drop?: number): TableColumn => ({ id, label: id, kind: 'text', drop });
const number = (id: string, label = id, drop?: number): TableColumn => ({ id, label, kind: 'number', drop });
const size = (id: string, label = id): TableColumn => ({ id, label, kind: 'size' });
const share = (id: string, label = id, drop?: number): TableColumn => ({ id, label, kind: 'share', drop });

const pairColumns: readonly TableColumn[] = [
  ...[number('C'), number('C transposed', 'C, transposed'), number('cos'), number('C_S', 'Cₛ'), number('slope')],
  ...[share('r2', 'r²'), share('cos2', 'cos²', 2)],
];

const ofWeights: ReadonlySet<string> = new Set(['C', 'C transposed', 'cos', 'cos2']);

/** C, C the other way, cos, C_S, slope, r², cos² of a pair. */
function pairValues({ values }: CouplingPicture, { row, column }: Pair): TableValue[] {
  const at = (name: keyof typeof values, r = row, c = column): number | null => values[name][r]?.[c] ?? null;
  const cos = at('cos');
  return [at('C'), at('C', column, row), cos, at('CS'), at('slope'), at('r2'), cos === null ? null : cos * cos];
}

/** The numbers of one pair in a row. */
export function pairTable(picture: CouplingPicture, pair: Pair): TableModel {
  const { corpus } = picture;
  const all: readonly TableColumn[] = [...pairColumns, { id: 'tokens', label: 'tokens', kind: 'count' }];
  const values = [...pairValues(picture, pair), corpus?.tokens ?? null];
  // Without a corpus nothing was measured.
  const kept = all.flatMap(({ id }, i) => (corpus !== null || ofWeights.has(id) ? [i] : []));
  return {
    id: `${picture.id} pair`,
    caption: 'Numbers of the selected pair',
    columns: kept.map((i) => all[i]),
    rows: [kept.map((i) => values[i])],
  };
}

function pairsTable(picture: CouplingPicture): TableModel {
  const { features, values, corpus } = picture;
  return {
    id: picture.id,
    caption: `${picture.title} · rows normalise`,
    columns: [
      ...[text('row'), text('column'), ...pairColumns.slice(0, 5), number('slope s.e.', 'slope s.e.', 2)],
      ...[...pairColumns.slice(5), { id: 'tokens', label: 'tokens', kind: 'count', drop: 2 } as const],
    ],
    rows: features.flatMap((from, row) =>
      features.map((to, column) => {
        const numbers = pairValues(picture, { row, column });
        const se = values.se[row]?.[column] ?? null;
        return [
          ...[featureName(from), featureName(to), ...numbers.slice(0, 5), se],
          ...[...numbers.slice(5), corpus?.tokens ?? null],
        ];
      }),
    ),
  };
}

function featuresTable({ id, features }: CouplingPicture): TableModel {
  return {
    id: `${id} features`,
    caption: 'Features',
    columns: [text('feature'), text('path'), size('norm'), text('terms', 1)],
    rows: features.map((feature) => [featureName(feature), feature.path, feature.norm, feature.terms]),
  };
}

function normsTable({ id, norms }: CouplingPicture): TableModel {
  return {
    id: `${id} norms`,
    caption: 'Angle between W_U n and its pull-back through the final norm, degrees',
    columns: [
      ...[text('observable'), text('norm', 1), { id: 'd', label: 'd', kind: 'text', drop: 1 } as const],
      ...[size('expected'), size('bound', 'theorem bound')],
      ...[size('prompt', 'at this prompt'), number('rho prompt', 'ρ at this prompt', 2)],
      ...[size('boundary', 'at the boundary'), number('rho boundary', 'ρ at the boundary', 2)],
    ],
    rows: norms.map(({ observable, kind, d, expected, bound, prompt, boundary }) => [
      ...[observable, kind, d, expected, bound],
      ...[prompt?.angle ?? null, prompt?.rho ?? null, boundary?.angle ?? null, boundary?.rho ?? null],
    ]),
  };
}

function sampleTable({ id, features, corpus }: CouplingPicture): TableModel[] {
  if (corpus === null) return [];
  const { tokens, contexts, values } = corpus.sample;
  return [
    {
      id: `${id} sample`,
      caption: `Scores on ${tokens.length} of the corpus’ tokens, logits`,
      columns: [
        { id: 'token', label: 'token', kind: 'token' },
        text('context', 3),
        ...features.map((feature): TableColumn => number(featureName(feature))),
      ],
      rows: values.map((scores, i) => [visibleToken(tokens[i]), contexts[i], ...scores]),
    },
  ];
}

/** Every number of the panel: pairs, features, norms, and the sample where there is a corpus. */
export function couplingTables(picture: CouplingPicture): readonly TableModel[] {
  const norms = picture.norms.length > 0 ? [normsTable(picture)] : [];
  return [pairsTable(picture), featuresTable(picture), ...norms, ...sampleTable(picture)];
}
