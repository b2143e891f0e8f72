import type { ModelConfig } from '../../src/core/models/modelConfig.ts';
import type { ModelWeights } from '../../src/core/models/modelWeights.ts';
import { type Matrix, type OracleRun, oracleRun } from './oracle.ts';

/** A node of a path, with the token that it reads and the one at which it writes. */
export interface RestrictedNode {
  readonly kind: 'head' | 'mlp' | 'embedding';
  readonly layer?: number;
  readonly head?: number;
  readonly reads: number;
  readonly writes: number;
}

export interface Restriction {
  readonly config: ModelConfig;
  readonly weights: ModelWeights;
  readonly tokens: readonly number[];
  /** The plain run of the tokens. */
  readonly clean: OracleRun;
  /** Nearest the logits first. */
  readonly nodes: readonly RestrictedNode[];
  readonly freezeScales: boolean;
}

const plusAt = (rows: Matrix, at: number, change: readonly number[]): Matrix =>
  rows.map((row, r) => (r === at ? row.map((value, i) => value + change[i]) : row));
const minus = (a: readonly number[], b: readonly number[]) => a.map((value, i) => value - b[i]);

/**
 * The model in which nothing but one path carries a change: attention patterns are those of the plain run, and every node but those of
 * the path sees and writes what it did there. `change` is added to what the path's first node reads. Float64; logits `[pos][d_vocab]`.
 */
export function restrictedRun(restriction: Restriction, change: readonly number[]): Matrix {
  const { config, weights, tokens, clean, nodes, freezeScales } = restriction;
  const was = (name: string) => clean.activations.get(name) ?? [];
  const first = nodes[nodes.length - 1];
  /** What the path has added to the stream so far, at one token. */
  let carried = { at: first.reads, row: [...change] };
  const order = (layer: number, kind: 'head' | 'mlp') => 2 * layer + (kind === 'mlp' ? 1 : 0);
  const start = first.kind === 'embedding' ? -1 : order(first.layer ?? 0, first.kind);
  const nodeAt = (layer: number, kind: 'head' | 'mlp') =>
    nodes.find((node) => node.kind === kind && node.layer === layer);
  const edit = (name: string, value: Matrix): Matrix => {
    const [, block, hook] = /^blocks\.(\d+)\.(.+)$/.exec(name) ?? [null, null, name];
    const layer = Number(block);
    if (hook.startsWith('attn.hook_pattern')) return was(name);
    if (freezeScales && hook.endsWith('hook_scale')) return was(name);
    if (block === null) return value;
    const node = { head: nodeAt(layer, 'head'), mlp: nodeAt(layer, 'mlp') };
    if (hook === 'hook_resid_pre' || hook === 'hook_resid_mid') {
      const kind = hook === 'hook_resid_pre' && !(config.parallelResidual && node.mlp) ? 'head' : 'mlp';
      return order(layer, kind) < start ? was(name) : plusAt(was(name), carried.at, carried.row);
    }
    if (hook === 'attn.hook_result' && node.head !== undefined) {
      const { head = 0, writes } = node.head;
      const part = (rows: Matrix) => rows[writes].slice(head * config.dModel, (head + 1) * config.dModel);
      carried = { at: writes, row: minus(part(value), part(was(name))) };
    }
    if (hook === 'hook_mlp_out' && node.mlp !== undefined) {
      const { writes } = node.mlp;
      carried = { at: writes, row: minus(value[writes], was(name)[writes]) };
    }
    if (hook === 'hook_resid_post') {
      return order(layer, 'mlp') < start ? was(name) : plusAt(was(name), carried.at, carried.row);
    }
    return value;
  };
  return oracleRun(config, weights, tokens, new Map(), edit).logits;
}
