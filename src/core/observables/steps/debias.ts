import type { ObservableSpec } from '../../../shared/engineProtocol.ts';
import { MechanistError } from '../../../shared/errors.ts';
import type { CellResult, StepCell, StepContext, StepKind } from '../../experiments/stepKind.ts';
import { paramSchemas } from '../../experiments/steps/paramSchemas.ts';
import { countedPasses } from '../../experiments/steps/passes.ts';
import { rolesOf } from '../../experiments/steps/taskRows.ts';
import { type ControlText, controlTexts } from '../controlTexts.ts';
import { type DebiasMode, debiasLayer, debiasModes } from '../debiasLayer.ts';
import { partnerCorruption } from '../pairSides.ts';
import { KeptStreams, StreamEditor } from '../streamEdit.ts';
import { assembleDebias, type DebiasCell } from './debiasFigures.ts';
import { featureSchemas, filesOfFeatures } from './featureParams.ts';
import { type PairedFeature, type PairedFeatureParams, pairedFeature } from './pairedFeature.ts';

export interface DebiasParams extends PairedFeatureParams {
  readonly bias?: string | ObservableSpec;
  readonly protected: string | ObservableSpec;
  readonly modes?: readonly DebiasMode[];
  readonly layers?: readonly number[];
  readonly control?: string;
  readonly controlTokens?: number;
}

const CONTROL_TOKENS = 1000;

function layersOf({ model }: StepContext, { layers }: DebiasParams): readonly number[] {
  const { nLayers } = model.config;
  const wanted = layers ?? Array.from({ length: nLayers }, (_, layer) => layer);
  const unknown = wanted.find((layer) => layer >= nLayers);
  if (unknown === undefined) return [...new Set(wanted)].sort((a, b) => a - b);
  throw new MechanistError('bad-input', `There is no layer ${unknown}: the model has 0 to ${nLayers - 1}.`);
}

function checkParams(context: StepContext, params: DebiasParams): void {
  const { task } = context;
  partnerCorruption(task, params.corruption);
  if (params.at !== undefined) rolesOf(task, [params.at]);
  context.observable(params.protected);
  context.observable(params.bias ?? params.feature.observable);
}

/** What all layers share. */
interface Prepared extends PairedFeature {
  readonly controls: readonly ControlText[];
  /** The unedited runs, one pass of everything for all layers; undefined where they do not fit in memory. */
  readonly kept: KeptStreams | undefined;
}

const hookAt = (hook: string, layer: number) => hook.replace(/^blocks\.\d+\./, `blocks.${layer}.`);

async function prepare(context: StepContext, params: DebiasParams): Promise<Prepared> {
  const { runner, memoryBytes } = context;
  const own = await pairedFeature(context, params);
  const { feature, role, pairs } = own;
  const controls = await controlTexts(context, role, params.control, params.controlTokens ?? CONTROL_TOKENS);
  const hooks = layersOf(context, params).map((layer) => hookAt(feature.hook, layer));
  const tokens = [
    ...pairs.map(({ clean }) => 2 * clean.ids.length),
    ...controls.map((text) => text.tokens.flat().length),
  ];
  const bytes = tokens.reduce((sum, count) => sum + count, 0) * runner.config.dModel * 4 * (hooks.length + 1);
  return { ...own, controls, kept: bytes < memoryBytes ? new KeptStreams(runner, hooks) : undefined };
}

async function run(context: StepContext, params: DebiasParams, cell: StepCell): Promise<CellResult> {
  const passes = countedPasses(context);
  const make = () => prepare(context, params);
  // A cell by itself keeps nothing for others.
  const { feature, role, pairs, controls, kept } = await (context.recent?.('prepared', make) ?? make());
  const request = {
    pairs,
    modes: params.modes ?? debiasModes,
    bias: context.observable(params.bias ?? params.feature.observable),
    protected: context.observable(params.protected),
    controls,
  };
  const hook = hookAt(feature.hook, Number(cell.id.slice(1)));
  const shared = context.recent === undefined ? undefined : kept;
  const editor = new StreamEditor(context.runner, hook, feature.vector, context.signal, shared);
  const found = await debiasLayer(context, editor, request, cell.id);
  const { name, warnings } = feature;
  const own: DebiasCell = {
    ...found,
    ...{ feature: { name, hook: feature.hook, warnings }, role, hook, rows: pairs.map(({ clean }) => clean.row) },
    forwardPasses: passes(),
  };
  return { ...own };
}

/**
 * Takes the part along a feature out of the residual stream, at one role and layer by layer, and measures what that does to the
 * observable it was made from, to another that should stay, to the next tokens and to control texts (appendix G of the paper, where
 * only the first is measured).
 */
export const debias: StepKind<DebiasParams> = {
  name: 'debias',
  params: {
    type: 'object',
    description:
      'Removes what a feature says at one role, layer by layer, by projecting it out, setting it to its mean or taking it from the partner: the gap of the observable before and after, that of a protected observable, the KL of the next tokens, and the loss of control texts.',
    properties: {
      feature: featureSchemas.feature,
      protected: {
        ...paramSchemas.observable,
        description: 'An observable whose gap between the two sides is to stay.',
      },
      bias: {
        ...paramSchemas.observable,
        description: 'The observable whose gap is to go. Default: that of the feature.',
      },
      at: {
        type: 'string',
        description: 'Role whose last token is changed. Default: the role of the token at which the feature is read.',
      },
      modes: {
        type: 'array',
        items: { enum: debiasModes },
        minItems: 1,
        description:
          'What the part along the feature becomes: 0, its mean over all prompts, or that of the partner (corrupted prompts only). Default: all three.',
      },
      layers: paramSchemas.layers,
      control: {
        type: 'string',
        description:
          'Texts whose loss is measured, .txt or .jsonl, changed at every token but the first. Rows with the tag control are taken as well, changed at the role where they have it.',
      },
      controlTokens: {
        type: 'integer',
        minimum: 2,
        default: CONTROL_TOKENS,
        description: 'Tokens of the control file.',
      },
      row: featureSchemas.row,
      corruption: featureSchemas.corruption,
    },
    required: ['feature', 'protected'],
    additionalProperties: false,
  },
  files: ({ control, feature }) => [...(control === undefined ? [] : [control]), ...filesOfFeatures([feature])],
  cells: (context, params) => {
    checkParams(context, params);
    const { nLayers } = context.model.config;
    const count = (params.modes ?? debiasModes).length;
    return layersOf(context, params).map((layer) => ({
      id: `L${layer}`,
      passes: 0.2 + 2 * count * (1 - layer / nLayers),
    }));
  },
  run,
  assemble: (context, params, results) =>
    assembleDebias(
      context,
      { modes: params.modes ?? debiasModes, layers: layersOf(context, params) },
      {
        bias: context.observable(params.bias ?? params.feature.observable).label,
        protected: context.observable(params.protected).label,
      },
      results,
    ),
};
