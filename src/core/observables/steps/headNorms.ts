import { MechanistError } from '../../../shared/errors.ts';
import type { FeatureSpec } from '../../../shared/features.ts';
import type { MatrixPicture, TablePicture } from '../../../shared/figures.ts';
import type { CellResult, StepContext, StepKind, StepResult } from '../../experiments/stepKind.ts';
import { headName } from '../../experiments/steps/heads.ts';
import { shortNumber } from '../../experiments/steps/rowGroups.ts';
import { headNorms, unscaled } from '../headNorms.ts';
import { featureSchemas } from './featureParams.ts';

type ObservableRef = FeatureSpec['observable'];

interface HeadNormsParams {
  readonly observables: readonly ObservableRef[];
  readonly gains?: boolean;
  readonly top?: number;
}

const CELL = 'weights';
const DEFAULT_TOP = 10;

interface Named {
  readonly name: string;
  readonly label: string;
  readonly terms: readonly { readonly id: number; readonly weight: number }[];
}

/** @throws MechanistError `bad-input`: no such observable, or one twice */
function observablesOf(context: StepContext, { observables }: HeadNormsParams): readonly Named[] {
  const found = observables.map((ref, i) => {
    const { label, terms } = context.observable(ref);
    return { name: typeof ref === 'string' ? ref : `observable ${i + 1}`, label, terms };
  });
  const twice = found.find(({ name }, i) => found.findIndex((own) => own.name === name) < i);
  if (twice === undefined) return found;
  throw new MechanistError('bad-input', `The observable ${twice.name} is named twice.`);
}

async function run(context: StepContext, params: HeadNormsParams): Promise<CellResult> {
  const { gains = true } = params;
  const { runner } = context;
  const directions: Float64Array[] = [];
  for (const { terms } of observablesOf(context, params)) {
    const { direction } = await runner.unembedding.direction(terms);
    directions.push(gains ? unscaled(runner.finalNorm, direction) : direction);
  }
  const norms = await headNorms(context, directions, { gains });
  return { norms: norms.map((layers) => layers.map((row) => row.map(shortNumber))), forwardPasses: 0 };
}

/** Heads with their norms, largest first. */
function ranking(layers: readonly (readonly number[])[]): { name: string; norm: number }[] {
  const all = layers.flatMap((row, layer) => row.map((norm, head) => ({ name: headName(layer, head), norm })));
  return all.sort((a, b) => b.norm - a.norm);
}

const wordsOf = (gains: boolean) =>
  gains ? 'with the gains of both norms, √d each, without their scales' : 'without norms';

function pictureOf({ name, label }: Named, layers: readonly (readonly number[])[], gains: boolean): MatrixPicture {
  const [best] = ranking(layers);
  return {
    ...{ type: 'matrix', id: `norms ${name}`, values: layers, unit: 'length', scale: 'sequential' },
    title: `${name}: ${best.name} could write most along ${label}`,
    subtitle: `length of the feature vector of each head by itself, ${wordsOf(gains)}; from weights alone`,
    rows: { name: 'layer', labels: layers.map((_, layer) => `L${layer}`) },
    columns: { name: 'head', labels: layers[0].map((_, head) => `H${head}`) },
  };
}

function assemble(context: StepContext, params: HeadNormsParams, results: ReadonlyMap<string, CellResult>): StepResult {
  const { gains = true, top = DEFAULT_TOP } = params;
  const observables = observablesOf(context, params);
  const norms = results.get(CELL)?.norms as readonly (readonly (readonly number[])[])[] | undefined;
  const made = norms === undefined ? [] : observables.map((own, i) => ({ ...own, layers: norms[i] }));
  const values: Record<string, number> = {};
  for (const { name, layers } of made) {
    ranking(layers).forEach(({ name: head, norm }, rank) => {
      values[`${name}.${head}`] = norm;
      values[`${name}.rank.${head}`] = rank + 1;
    });
  }
  const table: TablePicture = {
    ...{ type: 'table', id: 'ranking', title: `The ${top} heads of largest norm` },
    subtitle: 'a head that never attends to matching tokens has a large norm and no effect: compare heads-map',
    columns: [{ name: 'observable' }, { name: 'rank' }, { name: 'head' }, { name: 'length' }],
    rows: made.flatMap(({ name, layers }) =>
      ranking(layers)
        .slice(0, top)
        .map((head, rank) => [name, rank + 1, head.name, head.norm]),
    ),
  };
  return {
    title: 'Norms of the feature vectors of all heads',
    subtitle: wordsOf(gains),
    pictures: made.length === 0 ? [] : [...made.map((own) => pictureOf(own, own.layers, gains)), table],
    values,
    warnings: [],
    ablation: 'none',
  };
}

/**
 * Length of the feature vector of every head by itself, for several observables at once (Dunefsky and Cohan 2024, §3): how much it
 * could write, without data. One product a layer; no forward pass.
 */
export const headNormsStep: StepKind<HeadNormsParams> = {
  name: 'head-norms',
  params: {
    type: 'object',
    description: 'How much each head could write along observables, from weights alone: maps and a ranking.',
    properties: {
      observables: {
        ...{ type: 'array', items: featureSchemas.feature.properties.observable, minItems: 1, maxItems: 100 },
        description: 'Observables: names, or tokens and weights.',
      },
      gains: {
        type: 'boolean',
        default: true,
        description: "With the gains of the final norm and of each layer's; without: the bare OV circuit.",
      },
      top: { type: 'integer', minimum: 1, default: DEFAULT_TOP, description: 'Heads of each that the table names.' },
    },
    required: ['observables'],
    additionalProperties: false,
  },
  cells: (context, params) => {
    observablesOf(context, params);
    return [{ id: CELL, passes: 0.1 }];
  },
  run,
  assemble,
};
