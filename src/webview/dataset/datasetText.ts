import type { DatasetPanelState } from '../../shared/datasetPanelProtocol.ts';
import type { DatasetRowView, ShownAnswer } from '../../shared/datasetView.ts';
import { count, visibleToken } from '../../shared/format.ts';
import type { Read } from '../figures/Readout.tsx';

/** `acronyms of 3 letters · n = 200 · smollm2-135m · seed 0 · #3f9a1c7` */
export function subtitleOf({ title, summary }: DatasetPanelState): string {
  if (summary === null) return title;
  const parts = [
    summary.name ?? title,
    `n = ${count(summary.good)}`,
    summary.model ?? 'no model',
    `corruptions with seed ${summary.seed}`,
    `#${summary.key.slice(0, 7)}`,
  ];
  return parts.join(' · ');
}

export function rolesAt({ roles }: DatasetRowView, position: number): string[] {
  return Object.entries(roles).flatMap(([name, at]) => (at.includes(position) ? [name] : []));
}

export function answersAt({ answers }: DatasetRowView, position: number): ShownAnswer[] {
  return answers.filter((answer) => answer.position === position);
}

/** The corrupted token at a position where it is another than the clean one. */
export function changedAt(row: DatasetRowView, corruption: string | null, position: number): string | null {
  const other = corruption === null ? undefined : row.corrupted[corruption]?.[position];
  return other === undefined || other.id === row.tokens[position]?.id ? null : visibleToken(other.text);
}

export function whyRefused({ problems }: DatasetRowView): string {
  return problems
    .filter(({ severity }) => severity === 'error')
    .map(({ message }) => message)
    .join(' ');
}

function answerText({ name, answer, foils, foilCount }: ShownAnswer, alone: boolean): string {
  const shown = foils.map((foil) => visibleToken(foil)).join(' ');
  const more = foilCount > foils.length ? ` and ${foilCount - foils.length} more` : '';
  const against = foilCount === 0 ? '' : ` against ${shown}${more}`;
  return `${alone ? 'answer' : `answer ${name}`} ${visibleToken(answer)}${against}`;
}

/** What the line under the list says of a row, or of one of its tokens. */
export function readOf(row: DatasetRowView, token: number, corruption: string | null): Read {
  const id = `${row.index} ${token}`;
  const refused = row.refused ? `refused: ${whyRefused(row)}` : '';
  const at = row.tokens[token];
  if (at === undefined) {
    const read = row.tokens.length > 0 ? `${row.tokens.length} tokens` : 'tokens not read';
    const tokens = row.tokens.map(({ text }) => visibleToken(text)).join(' ');
    const name = `row ${row.id}, line ${row.line + 1}`;
    if (row.refused) return { id, name, spoken: `${name}, ${refused}`, said: 'refused', note: whyRefused(row) };
    return { id, name, spoken: name, said: read, note: tokens };
  }
  const roles = rolesAt(row, token);
  const changed = changedAt(row, corruption, token);
  const known = corruption !== null && row.corrupted[corruption] !== undefined;
  const notes = [
    `id ${at.id}`,
    ...(roles.length > 0 ? [`role ${roles.join(', ')}`] : []),
    ...answersAt(row, token).map((answer) => answerText(answer, row.answers.length === 1)),
    ...(known ? [`${corruption}: ${changed === null ? 'the same token' : `becomes ${changed}`}`] : []),
    ...(row.refused ? [refused] : []),
  ];
  const name = `row ${row.id} · position ${token + 1} of ${row.tokens.length}`;
  const spoken = `${name}, ${at.text.startsWith(' ') ? 'space ' : ''}${at.text.trim()}`;
  return { id, name, spoken, said: visibleToken(at.text), note: notes.join(' · ') };
}
