import { type Document, parseDocument } from 'yaml';
import { MechanistError } from '../../../shared/errors.ts';
import { describeYamlError } from '../yamlErrors.ts';

/** Templates with one place to fill, and what two sides fill it with. */
export interface PairsFile {
  readonly name: string;
  /** Role of the last token that fills the place. */
  readonly role: string;
  /** The first is the clean side. */
  readonly sides: readonly [string, string];
  /** Each has `{}` once. */
  readonly templates: readonly string[];
  readonly fill: readonly [readonly string[], readonly string[]];
  /** Token that each side should be followed by; null: rows without an answer. */
  readonly answers: readonly [string, string] | null;
}

const keys = ['name', 'role', 'templates', 'fill', 'answers'];

function refuse(what: string): never {
  throw new MechanistError('bad-input', `The file of pairs ${what}`);
}

function textsOf(value: unknown, what: string): readonly string[] {
  if (Array.isArray(value) && value.length > 0 && value.every((text) => typeof text === 'string')) return value;
  return refuse(
    `needs ${what}: a list of texts. Put quotes around a text that YAML takes for something else, as "No".`,
  );
}

function rootOf(document: Document): unknown {
  try {
    return document.toJS();
  } catch (error) {
    // An alias of an anchor that is nowhere.
    return refuse(`cannot be read: ${(error as Error).message}`);
  }
}

/**
 * Reads a YAML file of pairs: `name`, `templates` with `{}`, `fill` with two sides (`female: […]`, `male: […]`; the first is the
 * clean one), and perhaps `role` and `answers`.
 * @throws MechanistError `bad-input` that says what is missing
 */
export function readPairsFile(text: string): PairsFile {
  const document = parseDocument(text, { logLevel: 'silent' });
  const [error] = document.errors;
  if (error !== undefined) {
    const line = text.slice(0, error.pos[0]).split('\n').length;
    refuse(`cannot be read. Line ${line}: ${describeYamlError(text, error).message}`);
  }
  const root = rootOf(document);
  if (typeof root !== 'object' || root === null || Array.isArray(root)) {
    return refuse(`is a map with ${keys.join(', ')}.`);
  }
  const found = root as Readonly<Record<string, unknown>>;
  const unknown = Object.keys(found).find((key) => !keys.includes(key));
  if (unknown !== undefined) refuse(`has a key "${unknown}" that nobody reads. Keys: ${keys.join(', ')}.`);
  const templates = textsOf(found.templates, 'templates');
  const wrong = templates.find((template) => template.split('{}').length !== 2);
  if (wrong !== undefined) refuse(`has a template without {} or with several: "${wrong}".`);
  const fill = Object.entries((found.fill ?? {}) as Readonly<Record<string, unknown>>);
  if (fill.length !== 2) refuse('needs fill with two sides, as { female: [Mary], male: [John] }.');
  const sides = [fill[0][0], fill[1][0]] as const;
  const answers = found.answers as Readonly<Record<string, unknown>> | undefined;
  const answer = (side: string): string => {
    const token = answers?.[side];
    return typeof token === 'string' ? token : refuse(`has answers without one for ${side}, as { ${side}: " she" }.`);
  };
  return {
    name: typeof found.name === 'string' ? found.name : `${sides[0]} or ${sides[1]}`,
    role: typeof found.role === 'string' ? found.role : 'filled',
    ...{ sides, templates, fill: [textsOf(fill[0][1], sides[0]), textsOf(fill[1][1], sides[1])] },
    answers: answers === undefined ? null : [answer(sides[0]), answer(sides[1])],
  };
}
