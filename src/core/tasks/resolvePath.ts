import { MechanistError } from '../../shared/errors.ts';
import type { PathNode } from '../../shared/features.ts';
import { type PathKnown, parsePath, pathNodeName, type WrittenNode, type WrittenToken } from './pathText.ts';

/** The prompt that a path is about. */
export interface PathPrompt {
  readonly length: number;
  /** 0-based: where the observable is read. */
  readonly position: number;
  /** Role → 0-based tokens. */
  readonly roles?: Readonly<Record<string, readonly number[]>>;
}

/**
 * The nodes of a path.
 * @throws MechanistError `bad-input` with the first problem; `data` has its place
 */
export function requirePath(text: string, known: PathKnown): readonly WrittenNode[] {
  const { nodes, problems } = parsePath(text, known);
  if (problems.length === 0) return nodes;
  const [{ message, start, end }] = problems;
  throw new MechanistError('bad-input', `The path "${text}": ${message}`, { path: text, start, end });
}

function positionOf(token: WrittenToken, { length, roles }: PathPrompt): number {
  if (token.kind === 'role') {
    const own = roles?.[token.role];
    if (own === undefined || own.length === 0) {
      throw new MechanistError('bad-input', `This prompt has no role "${token.role}": write the number of a token.`);
    }
    return Math.max(...own);
  }
  const { index } = token;
  if (Math.abs(index) > length) {
    throw new MechanistError('bad-input', `There is no token ${index}: the prompt has ${length}.`);
  }
  return index < 0 ? length + index : index - 1;
}

/**
 * The token that follows from what is written: an MLP keeps the token, and so does the embedding. A head reads where the MLPs (or
 * the embedding) right before it stand, if one of them says.
 */
function impliedPosition(nodes: readonly WrittenNode[], i: number, at: number | null, prompt: PathPrompt) {
  if (nodes[i].node.kind !== 'head') return at;
  for (const { node, token } of nodes.slice(i + 1)) {
    if (node.kind === 'head') return null;
    if (token !== null) return positionOf(token, prompt);
  }
  return null;
}

/**
 * Whether a node that writes at `writesAt` can read at `position`, both 0-based.
 * @throws MechanistError `bad-input` for an MLP or embedding at another token, a head that would read a later one
 */
export function checkReads(node: PathNode, writesAt: number, position: number): void {
  const name = pathNodeName(node);
  if (node.kind !== 'head' && position !== writesAt) {
    const message = `${name} keeps its token: it is read at token ${writesAt + 1}, so it cannot be at token ${position + 1}.`;
    throw new MechanistError('bad-input', message);
  }
  if (position > writesAt) {
    const message = `${name} writes at token ${writesAt + 1} and cannot read token ${position + 1}, which comes later.`;
    throw new MechanistError('bad-input', message);
  }
}

/**
 * The nodes of a path with their tokens on one prompt. A head whose token is not written has `null`: the prompt decides, and what is
 * written of the nodes after it is held to that by `checkReads`.
 * @throws MechanistError `bad-input` for a token that the node cannot read there
 */
export function resolvePath(nodes: readonly WrittenNode[], prompt: PathPrompt): readonly PathNode[] {
  /** Where the later node reads, and so this one writes; null where the prompt will decide. */
  let at: number | null = prompt.position;
  return nodes.map(({ node, token }, i) => {
    const position = token === null ? impliedPosition(nodes, i, at, prompt) : positionOf(token, prompt);
    if (at !== null && position !== null) checkReads(node, at, position);
    at = position;
    return { ...node, position };
  });
}
