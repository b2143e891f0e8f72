import type { PathNode } from '../../shared/features.ts';
import { nearestWord } from './nearestWord.ts';

/** The token that a node of a path reads, as it is written. */
export type WrittenToken =
  /** 1-based; negative from the end. */
  | { readonly kind: 'index'; readonly index: number }
  /** A role of the dataset: its last token. */
  | { readonly kind: 'role'; readonly role: string };

/** A node of a path as it is written. Offsets are UTF-16 units of the path's text. */
export interface WrittenNode {
  /** Its position is null: see `token`. */
  readonly node: PathNode;
  readonly token: WrittenToken | null;
  readonly start: number;
  readonly end: number;
}

/** What is wrong with `[start, end)` of a path, and what could be written there instead. */
export interface PathProblem {
  readonly start: number;
  readonly end: number;
  readonly message: string;
  readonly suggestion?: string;
}

/** What is known about the model and the prompt; what is not is not checked. */
export interface PathKnown {
  readonly sizes?: {
    readonly nLayers: number;
    readonly nHeads: number;
    /** GPT-NeoX: attention and MLP of one layer read the same stream. */
    readonly parallelResidual?: boolean;
  };
  readonly roles?: readonly string[];
  /** Tokens of the prompt. */
  readonly length?: number;
}

export interface ParsedPath {
  /** Nearest the logits first; those that could be read. */
  readonly nodes: readonly WrittenNode[];
  readonly problems: readonly PathProblem[];
}

const HEAD = /^L(\d{1,4})\.?H(\d{1,4})$/i;
const MLP = /^MLP ?(\d{1,4})$/i;
const EMBEDDING = /^emb$/i;
/** Spellings of other tools, which are only suggested from. */
const FOREIGN_HEAD = /^(?:a|attn|l|layer)?\.? ?(\d{1,4})[.:, ] ?(?:h|head)?\.? ?(\d{1,4})$/i;
const FOREIGN_MLP = /^(?:m|mlp)[. _:]?(\d{1,4})$/i;
const FOREIGN_EMBEDDING = /^(?:embed|embedding|input|e)$/i;

const HOW = 'Write a head as L9.H6, an MLP as MLP 3, the embedding as emb';

function readNode(text: string): PathNode | null {
  const head = HEAD.exec(text);
  if (head !== null) return { kind: 'head', layer: Number(head[1]), head: Number(head[2]), position: null };
  const mlp = MLP.exec(text);
  if (mlp !== null) return { kind: 'mlp', layer: Number(mlp[1]), position: null };
  return EMBEDDING.test(text) ? { kind: 'embedding', position: null } : null;
}

/** `L9.H6`, `MLP 3`, `emb`: without the token. */
export function pathNodeName(node: PathNode): string {
  if (node.kind === 'embedding') return 'emb';
  return node.kind === 'head' ? `L${node.layer}.H${node.head}` : `MLP ${node.layer}`;
}

/** `L21.H4@7 <= MLP 12@3`, as people write it: tokens from 1. `tokens` false: without them. */
export function printPath(nodes: readonly PathNode[], tokens = true): string {
  const token = ({ position }: PathNode) => (tokens && position !== null ? `@${position + 1}` : '');
  return nodes.map((node) => `${pathNodeName(node)}${token(node)}`).join(' <= ');
}

/** All names of a model's nodes. */
function namesOf({ nLayers, nHeads }: NonNullable<PathKnown['sizes']>): string[] {
  const layers = Array.from({ length: nLayers }, (_, layer) => layer);
  const heads = layers.flatMap((layer) => Array.from({ length: nHeads }, (_, head) => `L${layer}.H${head}`));
  return ['emb', ...heads, ...layers.map((layer) => `MLP ${layer}`)];
}

function suggestedName(text: string, { sizes }: PathKnown): string | undefined {
  const head = FOREIGN_HEAD.exec(text);
  if (head !== null) return `L${Number(head[1])}.H${Number(head[2])}`;
  const mlp = FOREIGN_MLP.exec(text);
  if (mlp !== null) return `MLP ${Number(mlp[1])}`;
  if (FOREIGN_EMBEDDING.test(text)) return 'emb';
  return sizes === undefined ? undefined : (nearestWord(text, namesOf(sizes)) ?? undefined);
}

/** Why the model has no such node. */
function outOfRange(node: PathNode, { sizes }: PathKnown): string | null {
  if (sizes === undefined || node.kind === 'embedding') return null;
  const name = pathNodeName(node);
  if (node.layer >= sizes.nLayers) return `The model has no ${name}: its layers are 0 to ${sizes.nLayers - 1}.`;
  if (node.kind === 'head' && node.head >= sizes.nHeads) {
    return `The model has no ${name}: each layer has heads 0 to ${sizes.nHeads - 1}.`;
  }
  return null;
}

/** Whether `earlier` writes to what `later` reads. */
function feeds(earlier: PathNode, later: PathNode, parallel: boolean): boolean {
  if (later.kind === 'embedding') return false;
  if (earlier.kind === 'embedding' || earlier.layer < later.layer) return true;
  return !parallel && earlier.layer === later.layer && earlier.kind === 'head' && later.kind === 'mlp';
}

/** Reads a path's text, node by node. */
class PathReader {
  readonly nodes: WrittenNode[] = [];
  readonly problems: PathProblem[] = [];

  constructor(private readonly known: PathKnown) {}

  private report(start: number, end: number, message: string, suggestion?: string): void {
    this.problems.push({ start, end, message, ...(suggestion !== undefined && { suggestion }) });
  }

  /** One stretch between arrows. */
  read(text: string, from: number): void {
    const start = from + (text.length - text.trimStart().length);
    const body = text.trim();
    if (body === '') {
      this.report(from, from + Math.max(1, text.length), `A node is missing here. ${HOW}.`);
      return;
    }
    const arrow = /<-|->|=>|>=|>|</.exec(body);
    if (arrow !== null) {
      const at = start + arrow.index;
      this.report(at, at + arrow[0].length, 'Write <= between the nodes, nearest the logits first.', '<=');
      return;
    }
    const at = body.indexOf('@');
    const name = (at < 0 ? body : body.slice(0, at)).trimEnd();
    const node = readNode(name);
    if (node === null) {
      const near = suggestedName(name, this.known);
      const hint = near === undefined ? '' : ` Did you mean ${near}?`;
      this.report(start, start + Math.max(1, name.length), `"${name}" is no node of a path. ${HOW}.${hint}`, near);
      return;
    }
    const missing = outOfRange(node, this.known);
    if (missing !== null) this.report(start, start + name.length, missing);
    const token = at < 0 ? null : this.readToken(body.slice(at + 1), start + at + 1);
    this.nodes.push({ node, token: token ?? null, start, end: start + body.length });
  }

  private readToken(text: string, start: number): WrittenToken | undefined {
    const word = text.trim();
    const end = start + Math.max(1, text.length);
    const { length, roles } = this.known;
    if (/^[-−]?\d{1,7}$/.test(word)) {
      const index = Number(word.replace('−', '-'));
      if (index === 0) this.report(start, end, 'Tokens are counted from 1, or from the end as -1.');
      else if (length !== undefined && Math.abs(index) > length) {
        this.report(start, end, `There is no token ${index}: the prompt has ${length}.`);
      }
      return index === 0 ? undefined : { kind: 'index', index };
    }
    if (!/^[^\s@]+$/.test(word)) {
      this.report(start, end, 'After @ comes a token, as 7 or -1, or a role of the dataset.');
      return undefined;
    }
    if (roles !== undefined && !roles.includes(word)) {
      const near = nearestWord(word, roles) ?? undefined;
      const others = roles.length === 0 ? 'it has none' : roles.join(', ');
      const hint = near === undefined ? ` Its roles: ${others}.` : ` Did you mean ${near}?`;
      this.report(start, end, `The data has no role "${word}".${hint}`, near);
    }
    return { kind: 'role', role: word };
  }

  /** Each node has to write to what the one before it reads. */
  checkOrder(): void {
    const parallel = this.known.sizes?.parallelResidual === true;
    this.nodes.slice(1).forEach(({ node, start, end }, i) => {
      const later = this.nodes[i].node;
      if (feeds(node, later, parallel)) return;
      const [own, other] = [pathNodeName(node), pathNodeName(later)];
      if (later.kind === 'embedding') this.report(start, end, `Nothing comes before emb: ${own} cannot stand here.`);
      else {
        const why = `${own} does not write to what ${other} reads`;
        this.report(start, end, `${why}. A path begins nearest the logits and goes to earlier nodes.`);
      }
    });
  }
}

/**
 * Reads a path: `L21.H4@7 <= L18.H7@3 <= MLP 12@3`, nearest the logits first; `@` and the token that the node reads (from 1, negative
 * from the end, or a role of the dataset: its last token). Never throws; what is wrong is said at the word.
 */
export function parsePath(text: string, known: PathKnown = {}): ParsedPath {
  const reader = new PathReader(known);
  let from = 0;
  for (const part of text.split(/<=|←/)) {
    reader.read(part, from);
    from += part.length + (text.startsWith('←', from + part.length) ? 1 : 2);
  }
  reader.checkOrder();
  return { nodes: reader.nodes, problems: reader.problems };
}
