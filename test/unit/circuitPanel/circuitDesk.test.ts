import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import { readCircuit } from '../../../src/core/circuits/circuitFile.ts';
import { CircuitDesk, importEapIg } from '../../../src/core/session/circuitDesk.ts';
import type { CircuitFile } from '../../../src/shared/circuit.ts';
import type { PanelMetric } from '../../../src/shared/circuitPanelProtocol.ts';
import type { CircuitQuestion, ScoredCircuit } from '../../../src/shared/circuitRequests.ts';
import { MechanistError } from '../../../src/shared/errors.ts';
import { pronounRows } from '../../support/pronounRows.ts';
import { load, SMALL_WORLD } from '../reference/referenceFigures.ts';

const circuit: CircuitFile = {
  schemaVersion: 1,
  kind: 'circuit',
  name: 'pronouns',
  model: { ref: 'small-world' },
  scope: 'heads',
  nodes: [
    { node: 'L1.H0', role: 'first' },
    { node: 'L2.H3', role: 'second', at: ['JOB'] },
    { node: 'L3.H1', role: 'second' },
  ],
  ablation: { kind: 'mean' },
  provenance: { method: 'by hand' },
};

describe('what the circuit panel asks of the bundled model', () => {
  const memoryBytes = 256e6;
  let folder: string;
  let engine: AnalysisEngine;
  const desk = new CircuitDesk();
  const question = (change: Partial<CircuitFile> = {}): CircuitQuestion => ({
    model: 'small-world',
    data: { path: join(folder, 'pronouns.jsonl') },
    circuit: { ...circuit, ...change },
    seed: 0,
  });
  const scoresOf = async (change: Partial<CircuitFile>, signal = new AbortController().signal) => {
    const seen: ScoredCircuit[] = [];
    const last = await desk.evaluate(engine, question(change), memoryBytes, (scored) => seen.push(scored), { signal });
    return { seen, last };
  };

  /** The first answer, which a drag waits for; the rest is stopped. */
  const firstOf = async (change: Partial<CircuitFile>, metric?: PanelMetric): Promise<ScoredCircuit['evaluation']> => {
    const controller = new AbortController();
    const seen: ScoredCircuit[] = [];
    const onScored = (scored: ScoredCircuit): void => {
      seen.push(scored);
      controller.abort();
    };
    const { signal } = controller;
    const own = { ...question(change), ...(metric && { metric }) };
    await desk.evaluate(engine, own, memoryBytes, onScored, { signal }).catch(() => undefined);
    return seen[0].evaluation;
  };

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'mechanist-circuit-'));
    writeFileSync(join(folder, 'pronouns.jsonl'), pronounRows());
    engine = await load(SMALL_WORLD, folder);
  });
  afterAll(async () => {
    await engine?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('opens model and data: columns, roles, corruptions, where heads look', async () => {
    const { setting, reads } = await desk.open(engine, question(), memoryBytes, {});
    expect(setting).toMatchObject({ nLayers: 4, nHeads: 6, rows: 16, refused: 0, corruptions: ['other'] });
    expect(setting.columns.map(({ role }) => role)).toEqual([null, 'JOB', 'VERB', null]);
    expect(setting.answers).toEqual([{ name: 'pronoun', position: 3 }]);
    expect(reads.map(({ node }) => node)).toEqual(['L1.H0', 'L2.H3', 'L3.H1']);
    for (const { from, attention } of reads) {
      expect(from).toBeGreaterThan(0);
      expect(attention).toBeGreaterThan(0);
      expect(attention).toBeLessThanOrEqual(1);
    }
    // From the job one can look no further than the job.
    expect(reads[1].from).toBe(1);
  });

  it('says faithfulness first, then fills the rest, and ends with all of it', async () => {
    const { seen, last } = await scoresOf({});
    const first = seen[0].evaluation;
    expect(first.complete).toBe(false);
    expect(first.random.overall).toEqual([]);
    expect(last.evaluation).toMatchObject({ complete: true, faithfulness: first.faithfulness });
    expect(last.evaluation.random.overall).toHaveLength(200);
    expect(last.evaluation.addBack.random).toHaveLength(20);
    expect(last.evaluation.minimality.map(({ node }) => node)).toEqual(circuit.nodes.map(({ node }) => node));
    expect(last.gains).toHaveLength(4 * 6 - 3);
    const given = last.evaluation.addBack.given;
    expect(given[0].overall.mean).toBeCloseTo(last.evaluation.empty.overall.mean, 6);
    expect(given[3].overall.mean).toBeCloseTo(last.evaluation.inCircuit.overall.mean, 6);
  });

  it('scores by ln p where that is chosen; a metric that the data do not allow is the first that they do', async () => {
    const { setting } = await desk.open(engine, question(), memoryBytes, {});
    expect(setting.metrics).toEqual(['max', 'log-prob']);
    const usual = await firstOf({});
    const byProbability = await firstOf({}, 'log-prob');
    expect([byProbability.metric.label, byProbability.full.overall.mean < 0]).toEqual(['log-probability', true]);
    expect(await firstOf({}, 'mean')).toMatchObject({ metric: usual.metric, full: usual.full });
  });

  it('agrees with itself: taking a node out is the circuit without it, putting one in its gain', async () => {
    const { last } = await scoresOf({});
    const without = await firstOf({ nodes: circuit.nodes.slice(1) });
    const loss = last.evaluation.minimality[0].loss.overall.mean;
    const whole = last.evaluation.inCircuit.overall.mean;
    expect(without.inCircuit.overall.mean).toBeCloseTo(whole - loss, 5);
    const gain = last.gains.find(({ node }) => node === 'L0.H2')?.gain ?? Number.NaN;
    const more = await firstOf({ nodes: [...circuit.nodes, { node: 'L0.H2' }] });
    expect(more.inCircuit.overall.mean).toBeCloseTo(whole + gain, 5);
    const all = Array.from({ length: 24 }, (_, i) => ({ node: `L${Math.floor(i / 6)}.H${i % 6}` }));
    const full = await firstOf({ nodes: all });
    expect(full.faithfulness.overall.mean).toBeCloseTo(1, 5);
    expect(full.complementFaithfulness.overall.mean).toBeCloseTo(0, 5);
  });

  it('an empty circuit is faithful to nothing', async () => {
    const { last } = await scoresOf({ nodes: [] });
    expect(last.evaluation.faithfulness.overall.mean).toBeCloseTo(0, 6);
    expect(last.evaluation.minimality).toEqual([]);
  });

  it('stops when it is cancelled, and answers the next question', async () => {
    const controller = new AbortController();
    const stopped = desk.evaluate(engine, question(), memoryBytes, () => controller.abort(), {
      signal: controller.signal,
    });
    await expect(stopped).rejects.toMatchObject({ code: 'cancelled' });
    expect((await scoresOf({})).last.evaluation.complete).toBe(true);
  });

  it('shows where a head attends and what it copies, and nothing for an MLP', async () => {
    const pictures = await desk.detail(engine, { question: question(), node: 'L3.H1', answer: null }, memoryBytes, {});
    expect(pictures.map(({ type }) => type)).toEqual(['bars', 'matrix', 'table']);
    const [attention] = pictures;
    if (attention.type !== 'bars') throw new Error(attention.type);
    const sum = attention.groups[0].bars.reduce((total, { mean }) => total + mean, 0);
    expect(sum).toBeCloseTo(1, 5);
    expect(await desk.detail(engine, { question: question(), node: 'MLP 1', answer: null }, memoryBytes, {})).toEqual(
      [],
    );
  });

  it('goes out to other tools and comes back', async () => {
    const text = await desk.convert(engine, { question: question(), to: 'eap-ig' }, memoryBytes, {});
    const back = readCircuit(importEapIg(engine, { model: 'small-world', name: 'pronouns', text }));
    expect(back.problems).toEqual([]);
    const nodes = back.circuit?.nodes.map(({ node }) => node) ?? [];
    expect(nodes.filter((node) => node.startsWith('L')).sort()).toEqual(['L1.H0', 'L2.H3', 'L3.H1']);
    expect(() => importEapIg(engine, { model: 'small-world', name: 'x', text: '{"cfg": {}}' })).toThrow(/^Line 1/);
    const graph = await desk.convert(engine, { question: question(), to: 'attribution-graph' }, memoryBytes, {});
    expect(JSON.parse(graph).metadata.prompt).toBe('The nurse said that');
  });

  it('refuses what is not there in words', async () => {
    const refused = async (change: Partial<CircuitFile>, path?: string) => {
      const asked = question(change);
      const data = path === undefined ? asked.data : { path };
      return await desk
        .evaluate(engine, { ...asked, data }, memoryBytes, () => undefined, {})
        .then(
          () => 'nothing',
          (error: unknown) => (error instanceof MechanistError ? error.message : String(error)),
        );
    };
    expect(await refused({ nodes: [{ node: 'L9.H0' }] })).toMatch(/no L9\.H0/);
    expect(await refused({ nodes: [{ node: 'L1.H0', at: ['S1'] }] })).toMatch(/no role or position "S1"/);
    expect(await refused({ ablation: { kind: 'mean', corruption: 'cur' } })).toMatch(/no corruption "cur"/);
    expect(await refused({}, join(folder, 'nowhere.jsonl'))).toMatch(/data cannot be read/);
  });
});
