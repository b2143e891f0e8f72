import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import { attentionByRole } from '../../../src/core/experiments/steps/attentionByRole.ts';
import { patchHeads } from '../../../src/core/experiments/steps/patchHeads.ts';
import { patchResidual } from '../../../src/core/experiments/steps/patchResidual.ts';
import { loadTaskSet } from '../../../src/core/tasks/loadTaskSet.ts';
import type { Intervention } from '../../../src/shared/intervention.ts';
import type { TaskSet } from '../../../src/shared/taskSet.ts';
import { average, plainDifferences, plainPattern } from '../../support/plainRuns.ts';
import { keepRecent, LOGIT_DIFFERENCE as metric, runStep, stepContext } from '../../support/steps.ts';
import { load, mechanistCache, smollm2File } from '../reference/referenceFigures.ts';

const file = smollm2File();
const data = join(import.meta.dirname, '../../../examples/acronyms/acronyms.smollm2.jsonl');
/** Limits of methods/acronyms.md §9: metrics, patterns. */
const METRIC = 1e-3;
const PATTERN = 1e-5;

describe.skipIf(file === null)('steps on SmolLM2 with its acronyms', () => {
  let engine: AnalysisEngine;
  let task: TaskSet;

  beforeAll(async () => {
    engine = await load(file ?? '', mechanistCache());
    const { tokenizer, config } = engine.model;
    const source = { name: 'acronyms.smollm2.jsonl', lines: [readFileSync(data, 'utf8')] };
    task = await loadTaskSet(source, tokenizer, config.nCtx, { rows: 4, corruptions: ['cur:{answer}'] });
  }, 60_000);
  afterAll(async () => {
    await engine?.close();
  });

  const other = (name: string) => (row: TaskSet['items'][number]) => row.corrupted[name];
  const changeOf = async (answer: string, patch: Intervention) => {
    const options = { interventions: [patch], other: other(`cur:${answer}`) };
    const patched = await plainDifferences(engine, task.items, answer, options);
    return average(patched) - average(await plainDifferences(engine, task.items, answer));
  };

  it('patches as whole runs do, and finds the information on the word until it moves to the letter', async () => {
    const context = stepContext(engine, task, { recent: keepRecent() });
    const params = { corruption: 'cur:{answer}', metric, answers: ['L3'] };
    const residual = await runStep(patchResidual, context, { ...params, layers: [0, 20, 29] });
    const [{ roles }] = task.items;
    for (const layer of [0, 20, 29]) {
      const at = { hook: `blocks.${layer}.hook_resid_pre`, positions: roles.C3 };
      const change = await changeOf('L3', { kind: 'patch', at, from: { run: 'other' } });
      expect(Math.abs(residual.values[`L3.L${layer}.C3`] - change)).toBeLessThan(METRIC);
    }
    expect(residual.values['L3.L0.C3']).toBeLessThan(-3);
    expect(Math.abs(residual.values['L3.L29.C3'])).toBeLessThan(0.5);
    const heads = await runStep(patchHeads, context, { ...params, layers: [22] });
    for (const head of [0, 4, 8]) {
      const at = { hook: 'blocks.22.attn.hook_z', heads: [head] };
      const change = await changeOf('L3', { kind: 'patch', at, from: { run: 'other' } });
      expect(Math.abs(heads.values[`L3.L22.H${head}`] - change)).toBeLessThan(METRIC);
    }
  }, 120_000);

  it('reads the attention of plain runs', async () => {
    const { values } = await runStep(attentionByRole, stepContext(engine, task), { heads: ['L10.H3'] });
    const patterns = await Promise.all(task.items.map(({ ids }) => plainPattern(engine, ids, 10)));
    const target = ({ roles, answers }: TaskSet['items'][number], row: number) =>
      patterns[row][3][answers[1].position][roles.C2[0]];
    expect(Math.abs(values['L10.H3.L2.C2'] - average(task.items.map(target)))).toBeLessThan(PATTERN);
  }, 60_000);
});
