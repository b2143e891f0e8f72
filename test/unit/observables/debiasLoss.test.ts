import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import type { DebiasedLayer, DebiasMode } from '../../../src/core/observables/debiasLayer.ts';
import { featuresOfRow } from '../../../src/core/observables/featuresOfRow.ts';
import { debias } from '../../../src/core/observables/steps/debias.ts';
import type { Intervention } from '../../../src/shared/intervention.ts';
import type { TaskItem } from '../../../src/shared/taskSet.ts';
import { namePairs } from '../../support/genderPairs.ts';
import { average } from '../../support/plainRuns.ts';
import { keepRecent, runStep, stepContext } from '../../support/steps.ts';
import { load, SMALL_WORLD } from '../reference/referenceFigures.ts';

const TEXTS = ['The shop is near the park.', 'Anna is late because she missed the bus.', 'The park is near the shop.'];

let folder: string;
let engine: AnalysisEngine;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'mechanist-debias-loss-'));
  engine = await load(SMALL_WORLD, folder);
  writeFileSync(join(folder, 'control.txt'), TEXTS.join('\n\n'));
});
afterAll(async () => {
  await engine.close();
  rmSync(folder, { recursive: true, force: true });
});

const idsOf = (text: string) => engine.model.tokenizer.encode(text).map(({ id }) => id);

/** A row for the loss alone. */
function controlRow(text: string, roles: TaskItem['roles']): TaskItem {
  const own = { id: text, text, ids: idsOf(text), tokens: [], answers: [], corrupted: {} };
  return { ...own, tags: ['control'], roles };
}

/** One direction at one hook, edited by hand in one whole forward pass of one prompt after another. */
class ByHand {
  private readonly unit: readonly number[];

  constructor(
    private readonly hook: string,
    vector: Float64Array,
  ) {
    this.unit = Array.from(vector, (value) => value / Math.hypot(...vector));
  }

  private async stream(ids: readonly number[]): Promise<readonly number[][]> {
    const { activations } = await engine.runner.runWith([ids], { interventions: [], hooks: [this.hook] });
    const data = activations.get(this.hook)?.data ?? new Float32Array();
    const width = this.unit.length;
    return ids.map((_, position) => [...data.subarray(position * width, (position + 1) * width)]);
  }

  private score(x: readonly number[]): number {
    return x.reduce((sum, value, i) => sum + value * this.unit[i], 0);
  }

  /** x · v at a position. */
  async coefficient(ids: readonly number[], position: number): Promise<number> {
    return this.score((await this.stream(ids))[position]);
  }

  /** log p of every token at every position, x · v set to an amount at some; null: as it is. `[pos][d_vocab]` */
  async logProbabilities(ids: readonly number[], positions: readonly number[], amount: number | null) {
    const stream = await this.stream(ids);
    const interventions = positions.map((position): Intervention => {
      const x = stream[position];
      const value = x.map((own, i) => own + ((amount ?? 0) - this.score(x)) * this.unit[i]);
      return { kind: 'set', value, at: { hook: this.hook, positions: [position] } };
    });
    const run = await engine.runner.runWith([ids], { interventions: amount === null ? [] : interventions });
    const { data } = await run.logits({ positions: 'all' });
    const size = data.length / ids.length;
    return ids.map((_, position) => {
      const logits = [...data.subarray(position * size, (position + 1) * size)];
      const most = Math.max(...logits);
      const total = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0));
      return logits.map((logit) => logit - most - total);
    });
  }

  /** Σ p (log p − log q) of the next token, p unedited. */
  async kl({ ids, at }: Side, amount: number): Promise<number> {
    const [p] = (await this.logProbabilities(ids, [], null)).slice(-1);
    const [q] = (await this.logProbabilities(ids, [at], amount)).slice(-1);
    return p.reduce((sum, own, id) => sum + Math.exp(own) * (own - q[id]), 0);
  }

  /** −log p of each token behind `first`. */
  async losses(ids: readonly number[], positions: readonly number[], first: number, amount: number | null) {
    const found = await this.logProbabilities(ids, positions, amount);
    return ids.slice(first + 1).map((id, i) => -found[first + i][id]);
  }
}

interface Side {
  readonly ids: readonly number[];
  readonly at: number;
}

it.each([
  ['blocks.0.hook_resid_pre', 'L0.H2@name', 0],
  ['blocks.2.hook_resid_pre', 'L0.H2@end', 2],
  ['blocks.1.hook_resid_mid', 'MLP 1@end', 1],
])(
  'the loss of control texts and the KL of every prompt are those of whole runs edited by hand at %s (%s)',
  async (hook, path, layer) => {
    const pairs = namePairs(engine, 2);
    const role = path.endsWith('end') ? 'end' : 'name';
    const rows = [
      controlRow('Mary went to the shop because she was late.', { [role]: [2, 3] }),
      controlRow(TEXTS[0], {}),
    ];
    const task = { ...pairs, items: [...pairs.items, ...rows] };
    const more = { file: (name: string) => ({ path: join(folder, name), hash: name }), recent: keepRecent() };
    const context = stepContext(engine, task, more);
    const feature = { observable: { ' she': 1, ' he': -1 }, path };
    const params = { feature, protected: { ' her': 1, ' him': -1 }, control: 'control.txt', layers: [layer] };
    const { cells } = await runStep(debias, context, params);
    const found = cells.get(`L${layer}`) as unknown as DebiasedLayer & { readonly hook: string };
    expect(found.hook).toBe(hook);

    const [{ vector }] = await featuresOfRow(context, [{ ...feature, norm: 'scaled' }], {});
    const hand = new ByHand(hook, vector);
    const sides = pairs.items.map(({ ids, corrupted, roles }): { readonly clean: Side; readonly corrupted: Side } => {
      const [at] = roles[role];
      return { clean: { ids, at }, corrupted: { ids: corrupted.partner, at } };
    });
    const own = await Promise.all(sides.map(({ clean: { ids, at } }) => hand.coefficient(ids, at)));
    const other = await Promise.all(sides.map(({ corrupted: { ids, at } }) => hand.coefficient(ids, at)));
    const mean = average([...own, ...other]);
    const amounts = (mode: DebiasMode, row: number) =>
      ({ 'project-out': 0, 'set-to-mean': mean, 'pair-patch': own[row] })[mode];

    for (const mode of ['project-out', 'set-to-mean', 'pair-patch'] as const) {
      const { kl } = found.modes[mode] ?? expect.fail(mode);
      for (const [row, { clean, corrupted }] of sides.entries()) {
        const wanted = mode === 'pair-patch' ? 0 : await hand.kl(clean, amounts(mode, row));
        expect(Math.abs(kl.clean[row] - wanted)).toBeLessThan(2e-6);
        expect(Math.abs(kl.corrupted[row] - (await hand.kl(corrupted, amounts(mode, row))))).toBeLessThan(2e-6);
      }
      expect(Math.max(...kl.corrupted)).toBeGreaterThan(1e-3);
    }

    // Rows at the role, or where they lack it at every token but the first; texts where no window begins.
    const from = (ids: readonly number[], first: number) => ids.map((_, i) => i).filter((i) => i >= first);
    const start = engine.model.tokenizer.addsBos ? 2 : 1;
    const texts = [
      { ids: rows[0].ids, positions: [3], first: 3 },
      { ids: rows[1].ids, positions: from(rows[1].ids, 1), first: 1 },
      ...TEXTS.map(idsOf).map((ids) => ({ ids, positions: from(ids, start), first: start })),
    ];
    const losses = async (amount: number | null) =>
      (await Promise.all(texts.map(({ ids, positions, first }) => hand.losses(ids, positions, first, amount)))).flat();
    for (const [control, amount] of [
      [found.control, null],
      [found.modes['project-out']?.control, 0],
      [found.modes['set-to-mean']?.control, mean],
    ] as const) {
      const wanted = await losses(amount);
      expect(control?.n).toBe(wanted.length);
      expect((control?.sum ?? 0) / wanted.length).toBeCloseTo(average(wanted), 5);
    }
    expect(found.modes['project-out']?.control?.sum).not.toBeCloseTo(found.control?.sum ?? 0, 3);
    expect(found.modes['pair-patch']?.control).toBeNull();
  },
);
