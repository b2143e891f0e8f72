import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import { debiasVerdict } from '../../../src/core/observables/debiasVerdict.ts';
import { debias } from '../../../src/core/observables/steps/debias.ts';
import { StreamEditor } from '../../../src/core/observables/streamEdit.ts';
import type { TablePicture } from '../../../src/shared/figures.ts';
import type { Intervention } from '../../../src/shared/intervention.ts';
import { seededRandom } from '../../../src/shared/statistics.ts';
import type { TaskItem } from '../../../src/shared/taskSet.ts';
import { namePairs } from '../../support/genderPairs.ts';
import { randomModel, SHAPES } from '../../support/randomModel.ts';
import { runStep, stepContext, taskSetOf } from '../../support/steps.ts';
import { load, maxDelta, SMALL_WORLD } from '../reference/referenceFigures.ts';

describe.each(['gpt2', 'llama'])('a change of the stream along a direction, %s', (shape) => {
  const { model, remove } = randomModel(SHAPES[shape], 2);
  const random = seededRandom(9);
  const vector = Float64Array.from({ length: 24 }, () => 3 * random.normal());
  const tokens = Array.from({ length: 3 }, () => Array.from({ length: 6 }, () => random.below(50)));
  let engine: AnalysisEngine;
  beforeAll(async () => {
    engine = await AnalysisEngine.open(model, { threads: 1, cacheBytes: 0, version: 'test' });
  });
  afterAll(async () => {
    await engine.close();
    remove();
  });

  it.each(['blocks.1.hook_resid_pre', 'blocks.0.hook_resid_pre', 'blocks.1.hook_resid_mid'])(
    'is the intervention at %s',
    async (hook) => {
      const editor = new StreamEditor(engine.runner, hook, vector);
      const run = await editor.unedited(tokens);
      const direction = [...vector];
      const at = { hook, positions: [2] };
      const interventions: Intervention[] = [{ at, kind: 'projectOut', direction }];
      const positions = tokens.map(() => [2]);
      const out = await engine.runner.runWith(tokens, { interventions, hooks: [hook] });
      // The score is 0 after projecting out, and twice is once.
      const read = out.activations.get(hook)?.data ?? new Float32Array();
      tokens.forEach((_, item) => {
        expect(editor.coefficient({ ...run, stream: read }, item, 2)).toBeCloseTo(0, 5);
        expect(Math.abs(editor.coefficient(run, item, 2))).toBeGreaterThan(1e-3);
      });
      const projected = await editor.edited(run, { kind: 'set', amounts: [0, 0, 0], positions });
      expect(maxDelta(projected, out.residual.data)).toBeLessThan(1e-4);
      const twice = await editor.edited({ ...run, stream: read }, { kind: 'set', amounts: [0, 0, 0], positions });
      if (!hook.endsWith('mid')) expect(maxDelta(twice, projected)).toBeLessThan(1e-4);
      // The part of the partner, exactly: nothing changes where it is the prompt's own.
      const own = tokens.map((_, item) => editor.coefficient(run, item, 2));
      const same = await editor.edited(run, { kind: 'set', amounts: own, positions });
      expect(maxDelta(same, run.final)).toBeLessThan(1e-4);
      const added = await editor.edited(run, { kind: 'add', amounts: own.map((value) => -value), positions });
      expect(maxDelta(added, projected)).toBeLessThan(1e-4);
    },
  );
});

describe('what may be said of a debiasing', () => {
  const gap = (label: string, before: number, after: number) => ({ label, before, after });
  const verdict = (bias: [number, number], other: [number, number], control: [number, number] | null) =>
    debiasVerdict({
      what: 'projecting out at L0',
      bias: gap('she − he', ...bias),
      protected: gap('her − him', ...other),
      control: control && { before: control[0], after: control[1] },
    });

  it('names both gaps whatever happens, and success only where all three speak for it', () => {
    const cases = [
      [verdict([6.8, 0.9], [8.2, 1.0], [2, 2]), 'not selective', /shared|share is gone/],
      [verdict([6.8, 6.7], [8.2, 8.2], [2, 2]), 'no effect', /has no effect/],
      [verdict([6.8, 0.9], [8.2, 8.0], null), 'cost unknown', /is not measured/],
      [verdict([6.8, 0.9], [8.2, 8.0], [2, 2.5]), 'costly', /\+0\.500 nats/],
      [verdict([6.8, 9], [8.2, 8.0], [2, 2]), 'bias grows', /widens/],
      [verdict([6.8, -6], [8.2, 8.0], [2, 2]), 'turned round', /round/],
      [verdict([6.8, 0.9], [8.2, 8.0], [2, 2.001]), 'selective here', /Selective on these prompts; other wordings/],
    ] as const;
    for (const [{ kind, sentence }, expected, words] of cases) {
      expect(kind).toBe(expected);
      expect(sentence).toMatch(words);
      expect(sentence).toContain('she − he');
      expect(sentence).toContain('her − him');
      expect(sentence).not.toMatch(/success/i);
    }
    expect(verdict([0.01, 0], [8, 8], [2, 2])).toMatchObject({ kind: 'no gap' });
    expect(verdict([6.8, 0.9], [0.01, 0.01], [2, 2]).kind).toBe('selective here');
    expect(verdict([6.8, 0.9], [0.01, 3], [2, 2]).kind).toBe('not selective');
  });
});

describe('debias on small-world', () => {
  let folder: string;
  let engine: AnalysisEngine;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'mechanist-debias-'));
    engine = await load(SMALL_WORLD, folder);
    writeFileSync(join(folder, 'control.txt'), 'The shop is near the park.\n\nThe capital of France is Paris.\n');
  });
  afterAll(async () => {
    await engine.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const feature = { observable: { ' she': 1, ' he': -1 }, path: 'L0.H2@name' };
  const other = { ' her': 1, ' him': -1 };

  it('removes the gap where the name is read, with that of what was to stay, and nothing once it has moved on', async () => {
    const file = (name: string) => ({ path: join(folder, name), hash: name });
    const context = stepContext(engine, namePairs(engine, 12), { file });
    const params = { feature, protected: other, control: 'control.txt' };
    const result = await runStep(debias, context, params);
    const { values, pictures, title } = result;
    expect(pictures.map(({ id }) => id)).toEqual([
      ...['groups', 'project-out', 'set-to-mean', 'pair-patch', 'layers', 'verdicts'],
    ]);
    const { 'before.bias': bias, 'before.protected': kept, 'before.control': loss } = values;
    expect(bias).toBeGreaterThan(6);
    for (const mode of ['project-out', 'set-to-mean', 'pair-patch']) {
      expect(values[`L0.${mode}.bias`]).toBeLessThan(0.3 * bias);
      expect(values[`L0.${mode}.protected`]).toBeLessThan(0.3 * kept);
      expect(values[`L0.${mode}.kl`]).toBeGreaterThan(0.1);
      for (const layer of [1, 2, 3]) {
        expect(Math.abs(values[`L${layer}.${mode}.bias`] / bias - 1)).toBeLessThan(0.02);
        expect(Math.abs(values[`L${layer}.${mode}.protected`] / kept - 1)).toBeLessThan(0.02);
      }
    }
    expect(Math.abs(values['L0.project-out.control'] - loss)).toBeLessThan(0.2);
    expect(values['L0.pair-patch.control']).toBeUndefined();
    expect(title).toMatch(
      /^Projecting out at L0 is not selective: ␣she − ␣he \+[\d.]+ → \+[\d.]+; ␣her − ␣him .*, which was to stay$/,
    );
    const tables = pictures.filter((picture): picture is TablePicture => picture.type === 'table');
    const kinds = tables[2].rows.map(([mode, layer, kind]) => `${mode} ${layer} ${kind}`);
    expect(kinds.filter((kind) => kind.endsWith('not selective'))).toHaveLength(3);
    expect(kinds.filter((kind) => kind.endsWith('no effect'))).toHaveLength(9);
    // Groups of rows: all, and each template.
    expect(tables[0].rows.slice(0, 4).map((row) => row[1])).toEqual([
      'all rows',
      'template 1',
      'template 2',
      'template 3',
    ]);
    const mean = [1, 2, 3].reduce((sum, i) => sum + Number(tables[0].rows[i][3]), 0) / 3;
    expect(mean).toBeCloseTo(Number(tables[0].rows[0][3]), 6);
  });

  it('measures control rows at the role, and says where nothing is known of the cost or no sign is flipped', async () => {
    const { ids, tokens, ...row } = namePairs(engine, 1).items[0];
    const text = engine.model.tokenizer.encode('Mary went to the shop because she was late.');
    const control: TaskItem = {
      ...{ ...row, id: 'c', text: '', ids: text.map(({ id }) => id), tokens: [], answers: [] },
      ...{ tags: ['control'], roles: { name: [0] }, corrupted: {} },
    };
    const task = namePairs(engine, 2);
    const params = { feature, protected: other, modes: ['project-out'] as const, layers: [0] };
    const tagged = { ...task, items: [...task.items, control] };
    const { values, warnings } = await runStep(debias, stepContext(engine, tagged), params);
    expect(values['before.bias']).toBeGreaterThan(6);
    expect(values['L0.project-out.control']).not.toBe(values['before.control']);
    expect(warnings.filter((warning) => /control texts/.test(warning))).toEqual([]);
    // The partner of the last row is the row itself: nothing flips.
    const same = { ...task.items[0], id: 'same', corrupted: { partner: ids } };
    const flat = taskSetOf([...task.items, same], task.roles);
    const told = (await runStep(debias, stepContext(engine, flat), params)).warnings.join(' ');
    expect(told).toMatch(
      /In 1 of 7 pairs the partner does not flip the sign of ␣she − ␣he: row same has (\+\d.\d+) and \1\./,
    );
    expect(told).toMatch(/There are no control texts/);
    expect(tokens.length).toBe(ids.length);
  });

  it('refuses what does not fit before anything is run', () => {
    const context = stepContext(engine, namePairs(engine, 1));
    const cells = (more: object) => () => debias.cells(context, { feature, protected: other, ...more });
    expect(cells({ corruption: 'swapped' })).toThrow(/no corruption "swapped": the data has partner/);
    expect(cells({ at: 'nam' })).toThrow(/no role "nam"/);
    expect(cells({ layers: [4] })).toThrow(/the model has 0 to 3/);
    expect(cells({ protected: { ' her': 0 } })).toThrow(/weight/i);
    expect(cells({ protected: 'pronoun' })).toThrow(/no observable "pronoun"/);
  });

  it('takes the role from where the feature is read, and asks for one where the data has none there', async () => {
    const context = stepContext(engine, namePairs(engine, 2));
    const params = { feature: { ...feature, path: 'L0.H2@2' }, protected: other, layers: [0] };
    await expect(runStep(debias, context, params)).rejects.toThrow(
      /is read at token 2, where the data has no role: name the role/,
    );
    const { subtitle } = await runStep(debias, context, { ...params, at: 'name', modes: ['project-out'] });
    expect(subtitle).toMatch(/changed at name · 6 pairs of pairs/);
  });
});
