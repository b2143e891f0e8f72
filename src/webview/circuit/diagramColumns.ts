import type { CircuitNode } from '../../shared/circuit.ts';
import type { CircuitSetting } from '../../shared/circuitPanelProtocol.ts';
import { fitToken, monoWidth, numberWidth } from '../figures/text.ts';
import type { AnswerChoice } from './evaluationPictures.ts';

/** A column of the diagram: one residual stream. */
export interface ColumnPlace {
  /** Role, or position as text. */
  readonly id: string;
  /** 0-based position of the example row. */
  readonly position: number;
  readonly token: string;
  readonly role: string | null;
}

/** Columns in the order of positions: every position, or those where a role of the data stands. */
export function columnsOf(setting: CircuitSetting, mode: 'positions' | 'roles'): readonly ColumnPlace[] {
  const all = setting.columns.map(({ position, token, role }) => ({
    id: role ?? `${position + 1}`,
    position,
    token,
    role,
  }));
  const named = all.filter(({ role }) => role !== null);
  return mode === 'roles' && named.length > 0 ? named : all;
}

/** The last answer's position, or the chosen answer's. */
export function answerPosition({ answers, columns }: CircuitSetting, answer: AnswerChoice): number {
  const chosen = answer === 'all' ? undefined : answers[answer]?.position;
  return (
    chosen ?? Math.max(0, ...answers.map(({ position }) => position), answers.length === 0 ? columns.length - 1 : 0)
  );
}

/** Index of the column at which a node is drawn: where it says it matters, else where the answer is predicted. */
export function columnOfNode(node: CircuitNode, columns: readonly ColumnPlace[], fallback: number): number {
  for (const at of node.at ?? []) {
    const found = columns.findIndex(
      ({ role, position }) => role === at || `${position}` === at || `@${position}` === at,
    );
    if (found >= 0) return found;
  }
  return columnAt(columns, fallback);
}

/** Index of the column of a position: itself, or the next one to the left that is drawn. */
export function columnAt(columns: readonly ColumnPlace[], position: number): number {
  const exact = columns.findIndex((column) => column.position === position);
  if (exact >= 0) return exact;
  const before = columns.filter((column) => column.position < position).length - 1;
  return Math.max(0, before);
}

/** Px that a column's labels take. */
export function labelRoom({ token, role }: ColumnPlace): number {
  return Math.max(monoWidth(fitToken(token, 80, 11), 11), numberWidth(role ?? '', 11)) + 8;
}
