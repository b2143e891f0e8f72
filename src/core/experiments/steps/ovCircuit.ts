import { MechanistError } from '../../../shared/errors.ts';
import type { MatrixPicture, TablePicture } from '../../../shared/figures.ts';
import { dotAt } from '../../analyses/analysisContext.ts';
import { HeadWeights } from '../../engine/headWeights.ts';
import type { CellResult, StepContext, StepKind, StepResult } from '../stepKind.ts';
import { embedTokens } from './embedTokens.ts';
import { headsOf } from './heads.ts';
import { type DiagonalStatistics, diagonalStatistics } from './ovStatistics.ts';
import { paramSchemas } from './paramSchemas.ts';
import { shortNumber } from './rowGroups.ts';
import { type SetToken, tokensOf, tokensSchema } from './tokenSets.ts';

interface OvCircuitParams {
  readonly heads: readonly string[];
  readonly sets?: Readonly<Record<string, readonly (string | number)[]>>;
  readonly norm?: boolean;
  readonly mlp0?: boolean;
  readonly top?: number;
}

const DEFAULT_SETS = { bare: ['@capitals'], spaced: ['@spaced-capitals'] };
const CELL = 'weights';
const SUM = 'sum';

interface TokenSet {
  readonly name: string;
  readonly tokens: readonly SetToken[];
}

function setsOf(context: StepContext, { sets = DEFAULT_SETS }: OvCircuitParams): readonly TokenSet[] {
  const found = Object.entries(sets).map(([name, references]) => ({ name, tokens: tokensOf(context, references) }));
  if (found.length > 0) return found;
  throw new MechanistError('bad-input', 'sets names no set of tokens: leave it out for the capitals A to Z.');
}

/** `[head][set of inputs][set of outputs][input][output]` */
type Matrices = readonly (readonly (readonly (readonly (readonly number[])[])[])[])[];

async function run(context: StepContext, params: OvCircuitParams): Promise<CellResult> {
  const { runner } = context;
  const { dModel } = runner.config;
  const heads = headsOf(context, params.heads);
  const sets = setsOf(context, params);
  const all = sets.flatMap(({ tokens }) => tokens.map(({ id }) => id));
  const x = await embedTokens(context, all, params.mlp0 ?? false);
  const mean = await runner.unembedding.meanDirection();
  const outputs: Float64Array[] = [];
  for (const id of all) {
    const { direction } = await runner.unembedding.direction([{ id, weight: 1 }]);
    // Scale 1: only the norm's centring and gain.
    outputs.push(
      runner.finalNorm.pullBack(
        direction.map((value, i) => value - mean[i]),
        1,
      ),
    );
  }
  const starts = sets.map((_, i) => sets.slice(0, i).reduce((sum, { tokens }) => sum + tokens.length, 0));
  const matrices: number[][][][][] = [];
  const layers = new Map<number, HeadWeights>();
  for (const [done, { layer, head, name }] of heads.entries()) {
    context.onProgress?.({ done, total: heads.length, label: name });
    const weights = layers.get(layer) ?? (await HeadWeights.read(runner, layer));
    layers.set(layer, weights);
    const written = weights.circuit(head, x, params.norm ?? false);
    const entry = (input: number, output: number) =>
      shortNumber(dotAt(written, input * dModel, outputs[output], dModel));
    matrices.push(
      sets.map((inputs, i) =>
        sets.map((columns, o) =>
          inputs.tokens.map((_, row) => columns.tokens.map((__, column) => entry(starts[i] + row, starts[o] + column))),
        ),
      ),
    );
  }
  return { matrices, forwardPasses: 0 };
}

/** A head, or their sum, on one pair of sets. */
interface Block {
  readonly head: string;
  readonly inputs: TokenSet;
  readonly outputs: TokenSet;
  readonly values: readonly (readonly number[])[];
}

function blocksOf(context: StepContext, params: OvCircuitParams, matrices: Matrices): readonly Block[] {
  const heads = headsOf(context, params.heads);
  const sets = setsOf(context, params);
  return sets.flatMap((inputs, i) =>
    sets.flatMap((outputs, o) => {
      const singles = heads.map(({ name }, h) => ({ head: name, inputs, outputs, values: matrices[h][i][o] }));
      if (heads.length === 1) return singles;
      const values = inputs.tokens.map((_, row) =>
        outputs.tokens.map((__, column) => singles.reduce((sum, own) => sum + own.values[row][column], 0)),
      );
      return [{ head: SUM, inputs, outputs, values }, ...singles];
    }),
  );
}

function pictureOf({ head, inputs, outputs, values }: Block, words: string): MatrixPicture {
  return {
    ...{ type: 'matrix', id: `${head} ${inputs.name}>${outputs.name}`, values, unit: 'logits', scale: 'diverging' },
    title: `${head === SUM ? 'Sum of the heads' : head}: ${inputs.name} to ${outputs.name}`,
    subtitle: `logit of the token written, by column, for the token read, by row; ${words}`,
    rows: { name: 'read', labels: inputs.tokens.map(({ text }) => text) },
    columns: { name: 'written', labels: outputs.tokens.map(({ text }) => text) },
  };
}

function assemble(context: StepContext, params: OvCircuitParams, results: ReadonlyMap<string, CellResult>): StepResult {
  const { norm = false, mlp0 = false, top = 5 } = params;
  const words = `${norm ? "with the layer's norm" : 'without norm'}, ${mlp0 ? 'after the first MLP' : 'from the embedding'}, relative to the mean of all logits`;
  const cell = results.get(CELL);
  const blocks = cell === undefined ? [] : blocksOf(context, params, cell.matrices as Matrices);
  const values: Record<string, number> = {};
  const rows = blocks.map((block) => {
    const { head, inputs, outputs } = block;
    const statistics = diagonalStatistics(block.values, inputs.tokens, outputs.tokens, top);
    const name = `${head}.${inputs.name}>${outputs.name}`;
    for (const [key, value] of Object.entries(statistics)) if (value !== null) values[`${name}.${key}`] = value;
    return [head, `${inputs.name} to ${outputs.name}`, ...cellsOf(statistics)];
  });
  const table: TablePicture = {
    ...{ type: 'table', id: 'diagonals', title: 'How much the heads copy', rows },
    subtitle: `diagonal: the token itself, whatever spaces are around it; arg-max: rows whose largest entry is on it; top ${top}: share of rows with it among their ${top} largest`,
    columns: [
      ...[{ name: 'head' }, { name: 'from, to' }, { name: 'diagonal', unit: 'logits' }],
      ...[{ name: 'off the diagonal', unit: 'logits' }, { name: 'arg-max' }, { name: 'rows' }, { name: `top ${top}` }],
    ],
  };
  return {
    title: 'What heads write for what they read (OV circuit)',
    subtitle: words,
    pictures: [...blocks.map((block) => pictureOf(block, words)), table],
    values,
    warnings: [...(norm || mlp0 ? [] : [AS_PUBLISHED]), ...missing(context, params)],
    ablation: 'none',
  };
}

const AS_PUBLISHED =
  'As published, the norm and the first MLP are left out, although by layer 1 a token is no longer its embedding: compare norm: true, mlp0: true, and copying-scores.';

function cellsOf({ diagonal, argmax, rows, top, ...rest }: DiagonalStatistics): (number | null)[] {
  return [diagonal, rest['off-diagonal'], argmax, rows, top];
}

/** Capitals that are not one token here. */
function missing(context: StepContext, { sets = DEFAULT_SETS }: OvCircuitParams): string[] {
  return Object.entries(sets).flatMap(([name, references]) => {
    if (!references.some((reference) => /^@(spaced-)?capitals$/.test(String(reference)))) return [];
    const count = tokensOf(context, references).length;
    return references.length > 1 || count === 26 ? [] : [`Of A to Z, ${count} are single tokens in the set ${name}.`];
  });
}

/**
 * The OV circuit of heads on sets of tokens: W_E W_V W_O W_U with the gains and centring of the norms, without biases (Elhage
 * et al. 2021; E8 of arXiv 2405.04156). Entries are relative to the mean over the vocabulary. The matrix of several heads is
 * the sum of theirs. Reads weights; no forward pass.
 */
export const ovCircuit: StepKind<OvCircuitParams> = {
  name: 'ov-circuit',
  params: {
    type: 'object',
    description: 'What heads write for each token they read: matrices between sets of tokens, and how much is copied.',
    properties: {
      heads: paramSchemas.heads,
      sets: {
        type: 'object',
        additionalProperties: tokensSchema,
        description: 'Sets of tokens by name; each is read and written. Default: bare and spaced capitals.',
      },
      norm: {
        type: 'boolean',
        default: false,
        description: "With the scale of the layer's norm, which depends on the token; without it, only its gain.",
      },
      mlp0: { type: 'boolean', default: false, description: 'Adds what the first MLP writes for the token.' },
      top: {
        type: 'integer',
        minimum: 1,
        default: 5,
        description: 'Of how many largest entries a row the token may be one.',
      },
    },
    required: ['heads'],
    additionalProperties: false,
  },
  cells: (context, params) => {
    headsOf(context, params.heads);
    setsOf(context, params);
    return [{ id: CELL, passes: 0.1 }];
  },
  run,
  assemble,
};
