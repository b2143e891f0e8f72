import type { DatasetRowView, DatasetSummary } from '../../shared/datasetView.ts';
import { visibleToken } from '../../shared/format.ts';
import { codeSpan, escapeHtml } from '../markdown.ts';

const token = (text: string) => codeSpan(visibleToken(text));

/** Roles that stand at a position. */
function rolesAt({ roles }: DatasetRowView, position: number): string {
  const names = Object.entries(roles).flatMap(([name, at]) => (at.includes(position) ? [name] : []));
  return names.map(escapeHtml).join(', ');
}

/** `→ ␣Mary against ␣John`; long lists of foils are counted. */
function answersAt({ answers }: DatasetRowView, position: number): string {
  return answers
    .filter((answer) => answer.position === position)
    .map(({ name, answer, foils, foilCount }) => {
      const against = foilCount > 3 ? `${foilCount} foils` : foils.map(token).join(', ');
      const label = answers.length > 1 ? `${escapeHtml(name)} ` : '';
      return `${label}→ ${token(answer)}${foilCount === 0 ? '' : ` against ${against}`}`;
    })
    .join('; ');
}

/** What a corruption changes: `C1 ␣K, T1 etchup`; by position where no role stands. */
function changesBy(row: DatasetRowView, name: string): string {
  const corrupted = row.corrupted[name] ?? [];
  const changed = corrupted.flatMap((one, position) =>
    one.id === row.tokens[position]?.id ? [] : [`${rolesAt(row, position) || String(position + 1)} ${token(one.text)}`],
  );
  return changed.length === 0 ? 'nothing' : changed.join(', ');
}

/** A row of a dataset as the model reads it, in Markdown. */
export function rowCard(
  row: DatasetRowView,
  summary: Pick<DatasetSummary, 'model' | 'seed' | 'corruptedRows'>,
): string {
  const refused = row.problems.filter(({ severity }) => severity === 'error');
  const head = `**Row ${escapeHtml(row.id)}**${row.refused ? ' · refused' : ''} · ${row.tokens.length} tokens of ${escapeHtml(summary.model ?? 'no model')}`;
  const why = refused.map(({ message }) => `- ${escapeHtml(message)}`);
  const table = [
    '| position | token | id | role | answer |',
    '|---:|:---|---:|:---|:---|',
    ...row.tokens.map(
      ({ id, text }, i) => `| ${i + 1} | ${token(text)} | ${id} | ${rolesAt(row, i)} | ${answersAt(row, i)} |`,
    ),
  ];
  const names = Object.keys(row.corrupted);
  const corrupted = [
    '| corruption | changes |',
    '|:---|:---|',
    ...names.map((name) => `| ${escapeHtml(name)} | ${changesBy(row, name)} |`),
  ];
  const note = `Corrupted with seed ${summary.seed}, among the first ${summary.corruptedRows} rows; a run draws among its own rows.`;
  return [
    head,
    ...(why.length > 0 ? ['', ...why] : []),
    ...(row.tokens.length > 0 ? ['', ...table] : []),
    ...(names.length > 0 ? ['', ...corrupted, '', note] : []),
  ].join('\n');
}
