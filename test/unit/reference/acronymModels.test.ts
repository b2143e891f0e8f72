import { createReadStream, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import { loadTaskSet } from '../../../src/core/tasks/loadTaskSet.ts';
import type { Intervention } from '../../../src/shared/intervention.ts';
import type { TaskSet } from '../../../src/shared/taskSet.ts';
import { ACRONYMS, load, maxDelta, PLANTED } from './referenceFigures.ts';

const DATA = join(import.meta.dirname, '../../../examples/acronyms/acronyms.bundled.jsonl');

interface Loaded {
  readonly engine: AnalysisEngine;
  readonly task: TaskSet;
}

async function open(folder: string, cache: string): Promise<Loaded> {
  const engine = await load(folder, cache);
  const lines = createReadStream(DATA, 'utf8');
  return {
    engine,
    task: await loadTaskSet({ name: DATA, lines }, engine.model.tokenizer, engine.model.config.nCtx, {}),
  };
}

/** Logits at the answers `[row, answer, d_vocab]`, with heads changed. One forward pass. */
async function logits({ engine, task }: Loaded, interventions: readonly Intervention[] = []): Promise<Float32Array> {
  const positions = task.items[0].answers.map(({ position }) => position);
  const ids = task.items.map((item) => item.ids);
  const result = await engine.runner.runWith(ids, { interventions });
  return (await result.logits({ positions })).data;
}

/** By answer: mean logit of the answer − largest foil, and the share of rows whose answer is the model's first choice. */
function scores({ engine, task }: Loaded, data: Float32Array) {
  const width = engine.model.config.dVocab;
  return task.answerNames.map((_, which) => {
    const rows = task.items.map((item, row) => {
      const { answer, foils } = item.answers[which];
      const at = (row * task.answerNames.length + which) * width;
      const own = data.subarray(at, at + width);
      return {
        difference: own[answer] - Math.max(...foils.map((foil) => own[foil])),
        first: own[answer] === Math.max(...own),
      };
    });
    return {
      difference: rows.reduce((sum, row) => sum + row.difference, 0) / rows.length,
      accuracy: rows.filter(({ first }) => first).length / rows.length,
    };
  });
}

const headOf = (name: string) => /^L(\d+)\.H(\d+)$/.exec(name)?.slice(1).map(Number) ?? [];
const site = (layer: number, head: number) => ({ hook: `blocks.${layer}.attn.hook_z`, heads: [head] });
const meanAblated = (layer: number, head: number): Intervention => ({
  at: site(layer, head),
  kind: 'mean',
  over: 'batch',
});
const resampled = (layer: number, head: number): Intervention => ({ at: site(layer, head), kind: 'resample', seed: 1 });
const zeroed = (layer: number, head: number): Intervention => ({ at: site(layer, head), kind: 'zero' });

describe('the acronym models on the example dataset', () => {
  let cache: string;
  let acronyms: Loaded;
  let planted: Loaded;
  beforeAll(async () => {
    cache = await mkdtemp(join(tmpdir(), 'mechanist-reference-'));
    acronyms = await open(ACRONYMS, cache);
    planted = await open(PLANTED, cache);
  });
  afterAll(async () => {
    await acronyms?.engine.close();
    await planted?.engine.close();
    await rm(cache, { recursive: true, force: true });
  });

  it('take every row, BOS counted, with all corruptions', () => {
    for (const { task } of [acronyms, planted]) {
      expect(task.problems).toEqual([]);
      expect(task.items).toHaveLength(200);
      expect(task.answerNames).toEqual(['L1', 'L2', 'L3']);
      expect(task.corruptions).toEqual(
        expect.arrayContaining(['all', 'cur:L1', 'cur:L2', 'cur:L3', 'prev:L2', 'prev:L3', 'let:L2', 'let:L3']),
      );
      for (const { ids, answers } of task.items) {
        expect(ids).toHaveLength(11);
        expect(ids[0]).toBe(0);
        for (const { foils } of answers) expect(foils).toHaveLength(25);
      }
    }
    expect(planted.task.items.map(({ ids }) => ids)).toEqual(acronyms.task.items.map(({ ids }) => ids));
  });

  it('name every letter: the trained one in 95 % of rows and more, the planted one in all', async () => {
    for (const { accuracy, difference } of scores(acronyms, await logits(acronyms))) {
      expect(accuracy).toBeGreaterThanOrEqual(0.95);
      expect(difference).toBeGreaterThan(2);
    }
    for (const { accuracy, difference } of scores(planted, await logits(planted))) {
      expect(accuracy).toBe(1);
      expect(difference).toBeGreaterThan(8);
    }
  });

  it('know nothing without their heads', async () => {
    for (const model of [acronyms, planted]) {
      const { nLayers, nHeads } = model.engine.model.config;
      const all = Array.from({ length: nLayers * nHeads }, (_, i) => meanAblated(Math.floor(i / nHeads), i % nHeads));
      for (const { accuracy, difference } of scores(model, await logits(model, all))) {
        expect(accuracy).toBeLessThan(0.15);
        expect(difference).toBeLessThan(0);
      }
    }
  });

  it('planted: each planted head is needed, no other changes a logit by 1e-4', async () => {
    const circuit = JSON.parse(readFileSync(join(PLANTED, 'circuit.json'), 'utf8')) as { readonly nodes: string[] };
    const heads = circuit.nodes.map(headOf);
    const few: Loaded = { ...planted, task: { ...planted.task, items: planted.task.items.slice(0, 30) } };
    const clean = await logits(few);
    const { nLayers, nHeads } = planted.engine.model.config;
    for (let layer = 0; layer < nLayers; layer += 1) {
      for (let head = 0; head < nHeads; head += 1) {
        const isPlanted = heads.some(([l, h]) => l === layer && h === head);
        for (const ablated of [meanAblated, resampled, zeroed]) {
          const data = await logits(few, [ablated(layer, head)]);
          const least = Math.min(...scores(few, data).map(({ difference }) => difference));
          if (isPlanted) expect(least, `L${layer}.H${head}`).toBeLessThan(0.8);
          else expect(maxDelta(data, clean), `L${layer}.H${head}`).toBeLessThan(1e-4);
        }
      }
    }
    expect(heads).toHaveLength(5);
  });
});
