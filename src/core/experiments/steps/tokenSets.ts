import { MechanistError } from '../../../shared/errors.ts';
import { visibleToken } from '../../../shared/format.ts';
import type { StepContext } from '../stepKind.ts';
import { answersOf, rolesOf } from './taskRows.ts';

/** A vocabulary entry of a set. */
export interface SetToken {
  readonly id: number;
  /** As figures show it. */
  readonly text: string;
  /** Without spaces around it: tokens of two sets with equal stems belong together. */
  readonly stem: string;
}

const CAPITALS = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZ'];

/** Schema of a list of tokens. */
export const tokensSchema = {
  type: 'array',
  minItems: 1,
  items: { type: ['string', 'integer'] },
  description:
    'Tokens by text (" A") or id, or: @capitals, @spaced-capitals (A to Z), @answers, @answers:L1, @foils, @role:C1 (the tokens of the data there).',
} as const;

/** The entry that a text is, where it is a single one. */
export function singleToken({ model }: StepContext, text: string): number | null {
  const pieces = model.tokenizer.encodePiece(text);
  return pieces.length === 1 ? pieces[0] : null;
}

function idsOfReference(context: StepContext, reference: string): readonly number[] {
  const { task } = context;
  const [, name, of] = /^@([a-z-]+)(?::(.+))?$/.exec(reference) ?? [];
  const answers = of === undefined ? task.answerNames : name === 'role' ? [] : answersOf(task, [of]);
  const taken = task.items.flatMap((item) => item.answers.filter((answer) => answers.includes(answer.name)));
  switch (name) {
    case 'capitals':
      return CAPITALS.flatMap((letter) => singleToken(context, letter) ?? []);
    case 'spaced-capitals':
      return CAPITALS.flatMap((letter) => singleToken(context, ` ${letter}`) ?? []);
    case 'answers':
      return taken.map(({ answer }) => answer);
    case 'foils':
      return taken.flatMap(({ foils }) => foils);
    case 'role': {
      const [role] = rolesOf(task, [of ?? '']);
      return task.items.flatMap(({ ids, roles }) => (roles[role] ?? []).map((position) => ids[position]));
    }
    default:
      throw new MechanistError(
        'bad-input',
        `There is no set ${reference}: there are @capitals, @spaced-capitals, @answers, @foils and @role:NAME.`,
      );
  }
}

/** Space alone, and bytes that are no character by themselves, belong to no other token. */
function stemOf(text: string, id: number): string {
  const stem = text.trim();
  return stem === '' || stem.includes('\ufffd') ? `token ${id}` : stem;
}

/**
 * The tokens of a list, each once, ordered by their stem.
 * @throws MechanistError `bad-input`, `token-splits`; a set without a single token
 */
export function tokensOf(context: StepContext, references: readonly (string | number)[]): readonly SetToken[] {
  const { model } = context;
  const ids = references.flatMap((reference) => {
    if (typeof reference === 'number') {
      if (reference >= 0 && reference < model.config.dVocab) return reference;
      throw new MechanistError(
        'bad-input',
        `There is no token ${reference}: the vocabulary has ${model.config.dVocab}.`,
      );
    }
    if (/^@[a-z]/.test(reference)) return idsOfReference(context, reference);
    const id = singleToken(context, reference);
    if (id !== null) return id;
    throw new MechanistError('token-splits', `"${reference}" is not one token of this model.`);
  });
  const tokens = [...new Set(ids)].map((id) => {
    const text = model.tokenizer.tokenText(id);
    return { id, text: visibleToken(text), stem: stemOf(text, id) };
  });
  if (tokens.length === 0)
    throw new MechanistError('bad-input', `${references.join(', ')}: no such token in this model.`);
  return tokens.sort((a, b) => (a.stem === b.stem ? a.id - b.id : a.stem < b.stem ? -1 : 1));
}
