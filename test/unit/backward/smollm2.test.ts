import { homedir } from 'node:os';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Backward } from '../../../src/core/engine/backward/backward.ts';
import { ModelRunner } from '../../../src/core/engine/modelRunner.ts';
import { cacheFolder } from '../../../src/core/models/cacheFolder.ts';
import { openModelFiles } from '../../../src/core/models/openModelFiles.ts';
import { type Packed, readReference, unpack } from '../../support/gradients.ts';
import { hasSmollm2, smollm2File, smollm2Reason } from '../../support/smollm2.ts';

type Grids = Record<string, Packed>;

interface Reference {
  readonly tolerance: number;
  readonly prompts: readonly {
    readonly ids: number[];
    readonly corruptedIds: number[];
    readonly answer: number;
    readonly foil: number;
    readonly patching?: Record<'noising' | 'denoising', { readonly attribution: Grids }>;
    readonly tokens?: { readonly gradientTimesInput: { readonly value: number; readonly attributions: Packed } };
  }[];
}

/** Name of a hook within a block from its last part. */
const inBlock = (site: string) => (/^hook_(?:[qkvz]|pattern)$/.test(site) ? `attn.${site}` : site);

describe.skipIf(!hasSmollm2)(`gradients of SmolLM2${smollm2Reason}`, () => {
  const { prompts, tolerance } = readReference<Reference>('interventions-smollm2.json');
  let runner: ModelRunner;
  let backward: Backward;

  beforeAll(async () => {
    const cacheDir = cacheFolder(process.env, process.platform, homedir());
    const model = await openModelFiles(smollm2File, { ref: 'smollm2', cacheDir, availableBytes: 8e9 });
    runner = await ModelRunner.open(model, { threads: 2 });
    backward = new Backward(runner);
  });
  afterAll(() => runner.close());

  const objective = (answer: number, foil: number, position: number) => ({
    kind: 'metric' as const,
    metric: { kind: 'logit-difference' as const, foil: 'one' as const },
    targets: [[{ name: '', position, answer, foils: [foil] }]],
  });

  const cases = prompts.flatMap((prompt, index) =>
    prompt.patching === undefined
      ? []
      : (['noising', 'denoising'] as const).map((direction) => ({
          index,
          direction,
          prompt,
          grids: prompt.patching?.[direction].attribution ?? {},
        })),
  );
  it.each(cases)(
    'agree with PyTorch in attribution patching: prompt $index, $direction',
    async ({ direction, prompt, grids }) => {
      const [base, source] =
        direction === 'noising' ? [prompt.ids, prompt.corruptedIds] : [prompt.corruptedIds, prompt.ids];
      const { nLayers } = runner.config;
      const sites = Object.keys(grids);
      expect(sites).toContain('hook_resid_pre');
      const hooks = sites.flatMap((site) => Array.from({ length: nLayers }, (_, l) => `blocks.${l}.${inBlock(site)}`));
      const target = objective(prompt.answer, prompt.foil, base.length - 1);
      const found = await backward.gradients([base], target, { hooks, activations: hooks });
      const other = (await runner.run([source], { hooks })).activations;
      for (const site of sites) {
        const { dims, data } = unpack(grids[site]);
        const cells = dims[1];
        for (let layer = 0; layer < nLayers; layer += 1) {
          const hook = `blocks.${layer}.${inBlock(site)}`;
          const shape = found.gradients.get(hook)?.dims ?? [];
          const [gradient, own, patch] = [found.gradients, found.activations, other].map(
            (m) => m.get(hook)?.data ?? [],
          );
          // Cells are positions of [1, pos, d], or heads of [1, pos, head, d] and [1, head, query, key].
          const width = shape.slice(2).reduce((a, b) => a * b, 1);
          const [dHead, heads] = [shape[3], shape[2]];
          const byPosition = shape.length === 3;
          const sums = new Float64Array(cells);
          for (let i = 0; i < gradient.length; i += 1) {
            const cell = byPosition || site === 'hook_pattern' ? Math.floor(i / width) : Math.floor(i / dHead) % heads;
            sums[cell] += (patch[i] - own[i]) * gradient[i];
          }
          for (let cell = 0; cell < cells; cell += 1) {
            const difference = Math.abs(found.values[0] + sums[cell] - data[layer * cells + cell]);
            expect(difference, `${hook}, cell ${cell}`).toBeLessThan(tolerance);
          }
        }
      }
    },
  );

  it('agree with PyTorch in gradient × input', async () => {
    for (const { ids, answer, foil, tokens } of prompts) {
      if (tokens === undefined) continue;
      const { value, attributions } = tokens.gradientTimesInput;
      const found = await backward.gradients([ids], objective(answer, foil, ids.length - 1), { hooks: ['hook_embed'] });
      const gradient = found.gradients.get('hook_embed')?.data ?? [];
      const { tokens: embedded } = await runner.embed([ids]);
      expect(Math.abs(found.values[0] - value)).toBeLessThan(tolerance);
      const { dModel } = runner.config;
      unpack(attributions).data.forEach((wanted, position) => {
        let own = 0;
        for (let i = position * dModel; i < (position + 1) * dModel; i += 1) own += gradient[i] * embedded[i];
        expect(Math.abs(own - wanted), `position ${position}`).toBeLessThan(tolerance);
      });
    }
  });
});
