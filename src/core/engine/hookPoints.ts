import { MechanistError } from '../../shared/errors.ts';
import type { ModelConfig } from '../models/modelConfig.ts';

/**
 * Places inside a block whose activations can be read, in the order in which they are computed.
 * Names and shapes are TransformerLens' (`[batch, pos, …]`):
 * - `attn.hook_q/k/v` are before the rotary embedding, `hook_rot_q/k` after it (rotary models only); k and v have
 *   one entry per key-value head.
 * - `attn.hook_attn_scores` is scaled and masked; a masked entry is −1e30 instead of −∞.
 * - `ln1.hook_normalized` is after gain and bias for LayerNorm, before the gain for RMSNorm.
 * - In gated MLPs `hook_pre` is the gate before its activation and `hook_pre_linear` the other factor.
 */
export const BLOCK_HOOKS = [
  'hook_resid_pre',
  'ln1.hook_scale',
  'ln1.hook_normalized',
  'attn.hook_q',
  'attn.hook_k',
  'attn.hook_v',
  'attn.hook_rot_q',
  'attn.hook_rot_k',
  'attn.hook_attn_scores',
  'attn.hook_pattern',
  'attn.hook_z',
  'attn.hook_result',
  'hook_attn_out',
  'hook_resid_mid',
  'ln2.hook_scale',
  'ln2.hook_normalized',
  'mlp.hook_pre',
  'mlp.hook_pre_linear',
  'mlp.hook_post',
  'hook_mlp_out',
  'hook_resid_post',
] as const;
export type BlockHook = (typeof BLOCK_HOOKS)[number];

const GLOBAL_HOOKS = ['hook_embed', 'hook_pos_embed', 'ln_final.hook_scale', 'ln_final.hook_normalized'] as const;
export type GlobalHook = (typeof GLOBAL_HOOKS)[number];

/** A place where activations can be read. */
export type HookPoint =
  | { readonly kind: 'global'; readonly hook: GlobalHook }
  | { readonly kind: 'block'; readonly layer: number; readonly hook: BlockHook };

/** The TransformerLens name: `blocks.3.attn.hook_z`. */
export function hookName(point: HookPoint): string {
  return point.kind === 'global' ? point.hook : `blocks.${point.layer}.${point.hook}`;
}

/** Whether the hook exists in a model of this architecture. */
export function hookExists(point: HookPoint, config: ModelConfig): boolean {
  if (point.kind === 'global') return point.hook !== 'hook_pos_embed' || config.positions.kind === 'learned';
  if (point.layer >= config.nLayers) return false;
  switch (point.hook) {
    case 'attn.hook_rot_q':
    case 'attn.hook_rot_k':
      return config.positions.kind === 'rotary';
    case 'hook_resid_mid':
      return !config.parallelResidual;
    case 'mlp.hook_pre_linear':
      return config.mlp.gated;
    default:
      return true;
  }
}

/** Hooks that lie outside of a block's graph: its input, its output, and head results, which need W_O by head. */
const OUTSIDE_GRAPH: readonly BlockHook[] = ['hook_resid_pre', 'attn.hook_result', 'hook_resid_post'];

/** Hooks inside the graph of a block: what it can return, and what its backward graph returns the gradient of. */
export function graphHooks(config: ModelConfig): BlockHook[] {
  return BLOCK_HOOKS.filter(
    (hook) => !OUTSIDE_GRAPH.includes(hook) && hookExists({ kind: 'block', layer: 0, hook }, config),
  );
}

/** Sizes of the axes after `[batch, pos]`; attention scores and patterns are `[batch, head, query, key]` instead. */
export function innerDims(hook: BlockHook, config: ModelConfig): readonly number[] {
  switch (hook) {
    case 'ln1.hook_scale':
    case 'ln2.hook_scale':
      return [1];
    case 'attn.hook_q':
    case 'attn.hook_rot_q':
    case 'attn.hook_z':
      return [config.nHeads, config.dHead];
    case 'attn.hook_k':
    case 'attn.hook_v':
    case 'attn.hook_rot_k':
      return [config.nKeyValueHeads, config.dHead];
    case 'attn.hook_result':
      return [config.nHeads, config.dModel];
    case 'mlp.hook_pre':
    case 'mlp.hook_pre_linear':
    case 'mlp.hook_post':
      return [config.dMlp];
    default:
      return [config.dModel];
  }
}

/** True for `[batch, head, query, key]` activations. */
export function isAttentionMap(hook: BlockHook): boolean {
  return hook === 'attn.hook_attn_scores' || hook === 'attn.hook_pattern';
}

/** Module of a block → hook at its input and at its output: TransformerBridge's `hook_in`/`hook_out`. */
const MODULES: Readonly<Record<string, { readonly in?: BlockHook; readonly out?: BlockHook }>> = {
  '': { in: 'hook_resid_pre', out: 'hook_resid_post' },
  ln1: { in: 'hook_resid_pre', out: 'ln1.hook_normalized' },
  attn: { in: 'ln1.hook_normalized', out: 'hook_attn_out' },
  'attn.q': { in: 'ln1.hook_normalized', out: 'attn.hook_q' },
  'attn.k': { in: 'ln1.hook_normalized', out: 'attn.hook_k' },
  'attn.v': { in: 'ln1.hook_normalized', out: 'attn.hook_v' },
  'attn.o': { in: 'attn.hook_z', out: 'hook_attn_out' },
  ln2: { in: 'hook_resid_mid', out: 'ln2.hook_normalized' },
  mlp: { in: 'ln2.hook_normalized', out: 'hook_mlp_out' },
  'mlp.gate': { in: 'ln2.hook_normalized', out: 'mlp.hook_pre' },
  'mlp.in': { in: 'ln2.hook_normalized', out: 'mlp.hook_pre' },
  'mlp.up': { in: 'ln2.hook_normalized', out: 'mlp.hook_pre_linear' },
  'mlp.out': { in: 'mlp.hook_post', out: 'hook_mlp_out' },
};

/** Hugging Face's name of a block's submodule → the name used in `MODULES`. */
const HF_SUBMODULES: Readonly<Record<string, string>> = {
  ln_1: 'ln1',
  ln_2: 'ln2',
  input_layernorm: 'ln1',
  post_attention_layernorm: 'ln2',
  attn: 'attn',
  'attn.attention': 'attn',
  attention: 'attn',
  self_attn: 'attn',
  'attn.c_proj': 'attn.o',
  'attn.attention.out_proj': 'attn.o',
  'attention.dense': 'attn.o',
  'self_attn.q_proj': 'attn.q',
  'self_attn.k_proj': 'attn.k',
  'self_attn.v_proj': 'attn.v',
  'self_attn.o_proj': 'attn.o',
  mlp: 'mlp',
  'mlp.c_fc': 'mlp.in',
  'mlp.c_proj': 'mlp.out',
  'mlp.dense_h_to_4h': 'mlp.in',
  'mlp.dense_4h_to_h': 'mlp.out',
  'mlp.gate_proj': 'mlp.gate',
  'mlp.up_proj': 'mlp.up',
  'mlp.down_proj': 'mlp.out',
};

const GLOBAL_ALIASES: Readonly<Record<string, GlobalHook>> = {
  'embed.hook_out': 'hook_embed',
  'pos_embed.hook_out': 'hook_pos_embed',
  'ln_final.hook_out': 'ln_final.hook_normalized',
  'transformer.wte': 'hook_embed',
  'transformer.wpe': 'hook_pos_embed',
  'transformer.ln_f': 'ln_final.hook_normalized',
  'model.embed_tokens': 'hook_embed',
  'model.norm': 'ln_final.hook_normalized',
  'gpt_neox.embed_in': 'hook_embed',
  'gpt_neox.final_layer_norm': 'ln_final.hook_normalized',
};

const HF_BLOCK =
  /^(?:transformer\.h|model\.layers|gpt_neox\.layers)\.(\d+)(?:\.((?!hook_(?:in|out)$).+?))?(?:\.(hook_in|hook_out))?$/;
const TL_BLOCK = /^blocks\.(\d+)\.(.+)$/;

function parseBlockHook(rest: string, config: ModelConfig): BlockHook | null {
  const known = BLOCK_HOOKS.find((hook) => hook === rest);
  if (known !== undefined) return known;
  const match = /^(?:(.+)\.)?hook_(in|out)$/.exec(rest);
  if (match === null) return null;
  // The bridge calls the up-projection of a gated MLP "in".
  const module = match[1] === 'mlp.in' && config.mlp.gated ? 'mlp.up' : (match[1] ?? '');
  return MODULES[module]?.[match[2] === 'in' ? 'in' : 'out'] ?? null;
}

function parseHfPath(name: string): HookPoint | null {
  const match = HF_BLOCK.exec(name);
  if (match === null) return null;
  const module = match[2] === undefined ? '' : HF_SUBMODULES[match[2]];
  if (module === undefined) return null;
  const hook = MODULES[module][match[3] === 'hook_in' ? 'in' : 'out'];
  return hook === undefined ? null : { kind: 'block', layer: Number(match[1]), hook };
}

function parseName(name: string, config: ModelConfig): HookPoint | null {
  const module = name.replace(/^((?:transformer|model|gpt_neox)\..+)\.hook_out$/, '$1');
  const global = GLOBAL_HOOKS.find((hook) => hook === name) ?? GLOBAL_ALIASES[module];
  if (global !== undefined) return { kind: 'global', hook: global };
  const match = TL_BLOCK.exec(name);
  if (match === null) return parseHfPath(name);
  const hook = parseBlockHook(match[2], config);
  return hook === null ? null : { kind: 'block', layer: Number(match[1]), hook };
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i += 1) {
    const current = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const substitution = previous[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(previous[j] + 1, current[j - 1] + 1, substitution));
    }
    previous = current;
  }
  return previous[b.length];
}

/** All hook points of a model, in the order in which they are computed. */
export function allHookPoints(config: ModelConfig): HookPoint[] {
  const points: HookPoint[] = [
    { kind: 'global', hook: 'hook_embed' },
    { kind: 'global', hook: 'hook_pos_embed' },
  ];
  for (let layer = 0; layer < config.nLayers; layer += 1) {
    for (const hook of BLOCK_HOOKS) points.push({ kind: 'block', layer, hook });
  }
  points.push({ kind: 'global', hook: 'ln_final.hook_scale' }, { kind: 'global', hook: 'ln_final.hook_normalized' });
  return points.filter((point) => hookExists(point, config));
}

/** The three names of this model that are spelled most alike. */
function nearestNames(name: string, config: ModelConfig): string[] {
  return allHookPoints(config)
    .map((point) => hookName(point))
    .map((candidate) => ({ candidate, distance: editDistance(name.slice(0, 80), candidate) }))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, 3)
    .map(({ candidate }) => candidate);
}

/**
 * Reads a hook point's name: TransformerLens' (`blocks.3.attn.hook_z`), its bridge's (`blocks.3.attn.hook_out`) or a
 * Hugging Face module path (`model.layers.3.self_attn`, read at its output; `.hook_in` reads its input).
 * @throws MechanistError `bad-input` with the nearest names when this model has no such place.
 */
export function parseHookPoint(name: string, config: ModelConfig): HookPoint {
  const point = parseName(name.trim(), config);
  if (point !== null && hookExists(point, config)) return point;
  const nearest = nearestNames(name, config);
  const reason =
    point?.kind === 'block' && point.layer >= config.nLayers
      ? `The model has layers 0 to ${config.nLayers - 1}.`
      : `Did you mean ${nearest.join(', ')}?`;
  throw new MechanistError('bad-input', `There is no hook point "${name}" in this model. ${reason}`, { nearest });
}
