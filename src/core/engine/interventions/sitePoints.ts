import { MechanistError } from '../../../shared/errors.ts';
import type { InterventionSite } from '../../../shared/intervention.ts';
import type { ModelConfig } from '../../models/modelConfig.ts';
import { nearestWord } from '../../tasks/nearestWord.ts';
import { allHookPoints, BLOCK_HOOKS, type HookPoint, hookExists, hookName, parseHookPoint } from '../hookPoints.ts';

/** Matches every name that says which layer it means. */
const HAS_LAYER = /^(?:blocks|transformer\.h|model\.layers|gpt_neox\.layers)\.\d/;
const GLOBAL = /^(?:hook_embed|hook_pos_embed|ln_final|embed|pos_embed|transformer|model|gpt_neox)(?:\.|$)/;

function layerOf(layer: number, config: ModelConfig): number {
  if (layer >= 0 && layer < config.nLayers) return layer;
  const last = config.nLayers - 1;
  throw new MechanistError('bad-input', `There is no layer ${layer}: the model has layers 0 to ${last}.`);
}

/** Hugging Face's module behind the gain of an RMSNorm is not where TransformerLens puts `hook_normalized`. */
function refuseModuleOfRmsNorm(name: string, point: HookPoint, config: ModelConfig): void {
  if (config.norm.kind !== 'rmsnorm' || !point.hook.endsWith('hook_normalized')) return;
  if (name.endsWith('hook_normalized')) return;
  const known = hookName(point);
  throw new MechanistError(
    'bad-input',
    `"${name}" lies behind the norm's gain, where nothing can be changed. ${known} is before the gain.`,
    { nearest: [known] },
  );
}

/**
 * The hook points that a site names, in the order of the model.
 * @throws MechanistError `bad-input` with the nearest names in `data.nearest`
 */
export function sitePoints({ hook, layers }: InterventionSite, config: ModelConfig): HookPoint[] {
  const name = hook.trim();
  const points: HookPoint[] = [];
  if (HAS_LAYER.test(name) || GLOBAL.test(name)) {
    const point = parseHookPoint(name, config);
    const own = point.kind === 'block' ? point.layer : null;
    if (layers !== undefined && (own === null || layers.some((layer) => layer !== own))) {
      const reason = own === null ? 'is in no layer' : `already names layer ${own}`;
      throw new MechanistError('bad-input', `"${name}" ${reason}; leave "layers" out.`);
    }
    points.push(point);
  } else {
    refuseUnknown(name, config);
    const all = Array.from({ length: config.nLayers }, (_, layer) => layer);
    const chosen = [...new Set(layers?.map((layer) => layerOf(layer, config)) ?? all)].sort((a, b) => a - b);
    for (const layer of chosen) points.push(parseHookPoint(`blocks.${layer}.${name}`, config));
  }
  for (const point of points) refuseModuleOfRmsNorm(name, point, config);
  return points;
}

/** A name without a layer that no block has. */
function refuseUnknown(name: string, config: ModelConfig): void {
  try {
    parseHookPoint(`blocks.0.${name}`, config);
  } catch (error) {
    if (!(error instanceof MechanistError)) throw error;
    const inBlocks = BLOCK_HOOKS.filter((hook) => hookExists({ kind: 'block', layer: 0, hook }, config));
    const known = [...inBlocks, ...allHookPoints(config).flatMap((p) => (p.kind === 'global' ? [p.hook] : []))];
    const near = nearestWord(name, known) ?? nearestWord(`attn.${name}`, known) ?? nearestWord(`hook_${name}`, known);
    const nearest = near === null ? (error.data.nearest as readonly string[]) : [near];
    throw new MechanistError(
      'bad-input',
      `There is no hook point "${name}" in this model. Did you mean ${nearest.join(', ')}?`,
      { nearest },
    );
  }
}
