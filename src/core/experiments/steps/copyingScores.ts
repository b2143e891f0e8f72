import { MechanistError } from '../../../shared/errors.ts';
import type { MatrixPicture } from '../../../shared/figures.ts';
import { share } from '../../../shared/format.ts';
import { HeadWeights } from '../../engine/headWeights.ts';
import type { CellResult, StepCell, StepContext, StepKind, StepResult } from '../stepKind.ts';
import { embedTokens } from './embedTokens.ts';
import { headName } from './heads.ts';
import { paramSchemas } from './paramSchemas.ts';
import { layersOf } from './sweepStep.ts';
import { singleToken, tokensOf, tokensSchema } from './tokenSets.ts';

interface CopyingScoresParams {
  readonly tokens?: readonly (string | number)[];
  readonly top?: number;
  readonly mlp0?: boolean;
  readonly layers?: readonly number[];
}

const DEFAULT_TOKENS = ['@spaced-capitals'];

/** Entries that count as the token itself: its stem with and without a space before it. */
function variants(context: StepContext, { id, stem }: { readonly id: number; readonly stem: string }): Set<number> {
  return new Set([id, ...[stem, ` ${stem}`].flatMap((text) => singleToken(context, text) ?? [])]);
}

async function run(context: StepContext, params: CopyingScoresParams, cell: StepCell): Promise<CellResult> {
  const { runner, signal } = context;
  const layer = Number(cell.id.slice(1));
  const { nHeads, nLayers } = runner.config;
  if (!(layer < nLayers)) throw new MechanistError('internal', `There is no cell ${cell.id}.`);
  const tokens = tokensOf(context, params.tokens ?? DEFAULT_TOKENS);
  const own = tokens.map((token) => variants(context, token));
  const x = await embedTokens(
    context,
    tokens.map(({ id }) => id),
    params.mlp0 ?? true,
  );
  const weights = await HeadWeights.read(runner, layer);
  const copied: number[] = [];
  for (let head = 0; head < nHeads; head += 1) {
    context.onProgress?.({ done: head, total: nHeads, label: headName(layer, head) });
    await context.giveWay?.();
    const written = runner.finalNorm.apply(Float32Array.from(weights.circuit(head, x, false)));
    const { ids } = await runner.unembedding.top(written, params.top ?? 5, [], signal);
    copied.push(ids.filter((best, i) => best.some((id) => own[i].has(id))).length);
  }
  return { copied, forwardPasses: 0 };
}

function assemble(
  context: StepContext,
  params: CopyingScoresParams,
  results: ReadonlyMap<string, CellResult>,
): StepResult {
  const { nLayers, nHeads } = context.model.config;
  const { top = 5, mlp0 = true } = params;
  const layers = layersOf(nLayers, params.layers);
  const n = tokensOf(context, params.tokens ?? DEFAULT_TOKENS).length;
  const heads = Array.from({ length: nHeads }, (_, head) => head);
  const matrix = layers.map((layer) => {
    const copied = results.get(`L${layer}`)?.copied as readonly number[] | undefined;
    return heads.map((head) => (copied === undefined ? null : copied[head] / n));
  });
  const values: Record<string, number> = {};
  matrix.forEach((row, l) => {
    row.forEach((score, head) => {
      if (score !== null) values[headName(layers[l], head)] = score;
    });
  });
  const best = Object.entries(values).sort(([, a], [, b]) => b - a)[0];
  const subtitle = `share of ${n} tokens that are among the ${top} highest logits of what the head writes for them, with or without a space; ${mlp0 ? 'after the first MLP' : 'from the embedding'}`;
  const picture: MatrixPicture = {
    ...{ type: 'matrix', id: 'copying scores', values: matrix, unit: 'share', scale: 'sequential' },
    title: best === undefined ? 'Copying scores' : `${best[0]} copies most: ${share(best[1])} of ${n} tokens`,
    subtitle,
    rows: { name: 'layer', labels: layers.map((layer) => `L${layer}`) },
    columns: { name: 'head', labels: heads.map((head) => `H${head}`) },
  };
  return {
    title: 'Copying scores of all heads',
    subtitle,
    pictures: [picture],
    values,
    warnings: [],
    ablation: 'none',
  };
}

/**
 * Copying scores of all heads: tokens, through the first MLP, a head's OV circuit and the final norm, and how many are among
 * the highest logits themselves (after Wang et al. 2022, §3.1; methods of arXiv 2405.04156). No forward pass; one product
 * with the unembedding a head and token.
 */
export const copyingScores: StepKind<CopyingScoresParams> = {
  name: 'copying-scores',
  params: {
    type: 'object',
    description: 'For every head, the share of tokens that it writes when it reads them.',
    properties: {
      tokens: { ...tokensSchema, description: `${tokensSchema.description} Default: @spaced-capitals.` },
      top: { type: 'integer', minimum: 1, default: 5, description: 'Of how many highest logits the token may be one.' },
      mlp0: { type: 'boolean', default: true, description: 'Adds what the first MLP writes for the token.' },
      layers: paramSchemas.layers,
    },
    additionalProperties: false,
  },
  cells: (context, params) => {
    tokensOf(context, params.tokens ?? DEFAULT_TOKENS);
    return layersOf(context.model.config.nLayers, params.layers).map((layer) => ({ id: `L${layer}`, passes: 0.1 }));
  },
  run,
  assemble,
};
