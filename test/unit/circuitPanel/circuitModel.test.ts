import { describe, expect, it } from 'vitest';
import { circuitToText } from '../../../src/core/circuits/circuitFile.ts';
import { CircuitModel } from '../../../src/extension/circuit/circuitModel.ts';
import { smallestChange } from '../../../src/extension/circuit/smallestChange.ts';
import type { NotifyingPort } from '../../../src/extension/engineClient.ts';
import type { CircuitFile } from '../../../src/shared/circuit.ts';
import { editCircuit } from '../../../src/shared/circuitEdit.ts';
import type { CircuitEdit, CircuitPanelState } from '../../../src/shared/circuitPanelProtocol.ts';
import type { CircuitQuestion } from '../../../src/shared/circuitRequests.ts';
import type { EngineRequests } from '../../../src/shared/engineProtocol.ts';
import { MechanistError } from '../../../src/shared/errors.ts';
import type { RequestOptions } from '../../../src/shared/rpc.ts';
import { acronymSetting } from '../../support/circuitFixture.ts';
import { makeCircuit, makeEvaluation } from '../../support/figuresFixture.ts';
import { settle } from '../extension/fakeEngine.ts';

const circuit = makeCircuit({ data: { path: 'data/acronyms.jsonl' } });
const without = (node: string): CircuitFile => editCircuit(circuit, { kind: 'remove', node });

interface Asked {
  readonly method: string;
  readonly params: unknown;
  readonly signal: AbortSignal | undefined;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** An engine that answers when the test says so. */
class PatientEngine implements NotifyingPort {
  readonly asked: Asked[] = [];
  readonly #listeners = new Set<(name: string, params: unknown) => void>();

  onNotification(listener: (name: string, params: unknown) => void) {
    this.#listeners.add(listener);
    return { dispose: () => this.#listeners.delete(listener) };
  }

  request<K extends keyof EngineRequests>(
    method: K,
    params: EngineRequests[K]['params'],
    options: RequestOptions = {},
  ) {
    return new Promise<EngineRequests[K]['result']>((resolve, reject) => {
      this.asked.push({ method, params, signal: options.signal, resolve: resolve as (value: unknown) => void, reject });
      options.signal?.addEventListener('abort', () => reject(new MechanistError('cancelled', 'Cancelled.')));
    });
  }

  last(method: string): Asked {
    const found = this.asked.filter((one) => one.method === method).at(-1);
    if (!found) throw new Error(`${method} was not asked`);
    return found;
  }

  count(method: string): number {
    return this.asked.filter((one) => one.method === method).length;
  }

  scored(of: CircuitFile, token = (this.last('circuit.evaluate').params as { token: string }).token): void {
    const scored = { evaluation: makeEvaluation(of), gains: [] };
    for (const listener of [...this.#listeners]) listener('circuit.scored', { token, scored });
  }
}

function setup() {
  const engine = new PatientEngine();
  const states: CircuitPanelState[] = [];
  const model = new CircuitModel(
    engine,
    'a.circuit.json',
    '/somewhere/a.circuit.json',
    (state) => states.push(state),
    () => undefined,
  );
  return { engine, model, states };
}

async function opened() {
  const all = setup();
  void all.model.show(circuitToText(circuit));
  await settle();
  all.engine
    .last('circuit.open')
    .resolve({ setting: acronymSetting, reads: circuit.nodes.map(({ node }) => ({ node, from: 6, attention: 0.5 })) });
  await settle();
  return all;
}

async function scored() {
  const all = await opened();
  all.engine
    .last('circuit.evaluate')
    .resolve({ evaluation: makeEvaluation(circuit), gains: [{ node: 'L7.H10', gain: -0.25 }] });
  await settle();
  return all;
}

describe('a circuit panel', () => {
  it('opens the data beside the file, then asks for numbers', async () => {
    const { engine, model } = await opened();
    expect(engine.last('circuit.open').params).toMatchObject({
      model: 'gpt2',
      data: { path: '/somewhere/data/acronyms.jsonl' },
    });
    expect(model.state.freshness).toBe('old');
    engine.scored(circuit);
    expect(model.state).toMatchObject({ freshness: 'filling', evaluation: { complete: true } });
    engine.last('circuit.evaluate').resolve({ evaluation: makeEvaluation(circuit), gains: [] });
    await settle();
    expect(model.state).toMatchObject({ freshness: 'fresh', progress: null, error: null });
  });

  it('another metric asks for the numbers once more, and stays for the next question', async () => {
    const { engine, model } = await scored();
    expect(engine.last('circuit.evaluate').params).not.toHaveProperty('question.metric');
    void model.setMetric('mean');
    await settle();
    expect(engine.last('circuit.evaluate').params).toMatchObject({ question: { metric: 'mean' } });
    expect(model.state).toMatchObject({ metric: 'mean', freshness: 'old' });
    void model.show(circuitToText(without('L9.H9')));
    await settle();
    expect(engine.last('circuit.evaluate').params).toMatchObject({ question: { metric: 'mean' } });
  });

  it.each([
    ['that they allow stays', ['max', 'mean'], 'mean'],
    ['that they do not allow is forgotten', ['max', 'log-prob'], null],
  ] as const)('with other data a metric %s', async (_, metrics, kept) => {
    const { engine, model } = await scored();
    void model.setMetric('mean');
    await settle();
    void model.show(circuitToText({ ...circuit, data: { path: 'data/others.jsonl' } }));
    await settle();
    engine.last('circuit.open').resolve({ setting: { ...acronymSetting, metrics }, reads: [] });
    await settle();
    expect(model.state.metric).toBe(kept);
    const { question } = engine.last('circuit.evaluate').params as { question: CircuitQuestion };
    expect(question.data.path).toBe('/somewhere/data/others.jsonl');
    expect(question.metric).toBe(kept ?? undefined);
  });

  it('after an edit the old numbers stay, grey, and the older question is dropped', async () => {
    const { engine, model } = await scored();
    const first = engine.last('circuit.evaluate');
    void model.show(circuitToText(without('L9.H9')));
    await settle();
    expect(model.state.freshness).toBe('old');
    expect(model.state.evaluation?.circuit.nodes).toHaveLength(8);
    const second = engine.last('circuit.evaluate');
    expect(second).not.toBe(first);
    void model.show(circuitToText(without('L1.H0')));
    await settle();
    expect(second.signal?.aborted).toBe(true);
    // A late answer of the dropped question changes nothing.
    engine.scored(without('L9.H9'), (second.params as { token: string }).token);
    expect(model.state.freshness).toBe('old');
    engine.scored(without('L1.H0'));
    expect(model.state.freshness).toBe('filling');
    expect(model.state.evaluation?.circuit.nodes.map(({ node }) => node)).not.toContain('L1.H0');
  });

  it('a name or a role asks for nothing', async () => {
    const { engine, model } = await scored();
    const asked = engine.asked.length;
    await model.show(circuitToText(editCircuit(circuit, { kind: 'role', node: 'L9.H9', role: 'helper' })));
    expect(engine.asked).toHaveLength(asked);
    expect(model.state.freshness).toBe('fresh');
    expect(model.state.evaluation?.circuit.nodes[1].role).toBe('helper');
  });

  it('broken text says where, and leaves the last circuit in sight', async () => {
    const { engine, model } = await scored();
    const asked = engine.asked.length;
    await model.show(circuitToText(circuit).replace('"effect":0.22}', '"effect":0.22},'));
    expect(model.state.circuit).toEqual(circuit);
    expect(model.state.faults).toMatchObject([
      { line: 15, severity: 'error', message: 'There is a comma after the last entry. Delete it.' },
    ]);
    expect(engine.asked).toHaveLength(asked);
    await model.show(circuitToText(circuit));
    expect(model.state.faults).toEqual([]);
  });

  it('other weights: says so, computes nothing until somebody goes on', async () => {
    const { engine, model } = setup();
    const other = { ...circuit, model: { ref: 'gpt2', hash: 'f'.repeat(64) } };
    void model.show(circuitToText(other));
    await settle();
    engine.last('circuit.open').resolve({ setting: acronymSetting, reads: [] });
    await settle();
    expect(model.state.otherModel).toEqual({ expected: 'f'.repeat(64), found: acronymSetting.modelHash });
    expect(engine.count('circuit.evaluate')).toBe(0);
    void model.goOn();
    await settle();
    expect(model.state.otherModel).toBeNull();
    expect(engine.count('circuit.evaluate')).toBe(1);
  });

  it('a node that the model does not have is told once the model is known', async () => {
    const { engine, model } = setup();
    void model.show(circuitToText({ ...circuit, nodes: [{ node: 'L12.H0' }] }));
    await settle();
    expect(model.state.faults).toEqual([]);
    engine.last('circuit.open').resolve({ setting: acronymSetting, reads: [] });
    await settle();
    expect(model.state.faults).toMatchObject([{ severity: 'error', message: expect.stringMatching(/no L12\.H0/) }]);
    expect(engine.count('circuit.evaluate')).toBe(0);
  });

  it('a failure and a stop are said in words and can be tried again', async () => {
    const { engine, model } = await opened();
    engine.last('circuit.evaluate').reject(new MechanistError('bad-input', 'Row 3 has no corruption "cur".'));
    await settle();
    expect(model.state.error).toBe('Row 3 has no corruption "cur".');
    void model.retry();
    await settle();
    expect(engine.count('circuit.open')).toBe(2);
    const all = await opened();
    all.model.cancel();
    await settle();
    expect(all.model.state).toMatchObject({ error: 'Stopped.', progress: null });
    const later = await scored();
    void later.model.show(circuitToText(without('L9.H9')));
    await settle();
    later.model.cancel();
    await settle();
    expect(later.model.state.error).toBe('Stopped. The numbers are those before the last change.');
  });

  it('other data drop what was asked for the old ones, without a word', async () => {
    const { engine, model } = await opened();
    const first = engine.last('circuit.evaluate');
    void model.show(circuitToText({ ...circuit, data: { path: 'other.jsonl' } }));
    await settle();
    expect(first.signal?.aborted).toBe(true);
    expect(model.state).toMatchObject({ error: null, setting: null, evaluation: null });
    expect(engine.count('circuit.open')).toBe(2);
  });

  it('without data nothing is asked', async () => {
    const { engine, model } = setup();
    await model.show(circuitToText(makeCircuit()));
    expect(engine.asked).toEqual([]);
    expect(model.state.circuit?.name).toBe('acronyms');
  });

  it('a graph of EAP-IG is told from broken text, and offered to be made a circuit', async () => {
    const { model } = setup();
    await model.show('{"cfg": {"n_layers": 2}, "nodes": {}, "edges": {}}');
    expect(model.state).toMatchObject({ circuit: null, foreign: true, faults: [] });
    await model.show('{"nodes": {}}');
    expect(model.state.foreign).toBe(false);
    expect(model.state.faults.length).toBeGreaterThan(0);
  });

  it('a newer selection drops the older one', async () => {
    const { engine, model } = await scored();
    void model.select('L8.H11', 2);
    void model.select('L9.H9', 2);
    await settle();
    const [first, second] = engine.asked.filter(({ method }) => method === 'circuit.detail');
    expect(first.signal?.aborted).toBe(true);
    expect(second.params).toMatchObject({ node: 'L9.H9', answer: 'letter 3' });
    second.resolve([]);
    await settle();
    expect(model.state.detail).toEqual({ node: 'L9.H9', pictures: [], error: null });
  });
});

describe('edits', () => {
  const nodes = (edit: CircuitEdit) => editCircuit(circuit, edit).nodes.map(({ node }) => node);
  it('add, remove, order; what does not fit changes nothing', () => {
    expect(nodes({ kind: 'add', node: 'L0.H3', at: ['C1'] }).at(-1)).toBe('L0.H3');
    expect(editCircuit(circuit, { kind: 'add', node: 'L8.H11' })).toBe(circuit);
    expect(nodes({ kind: 'remove', node: 'L8.H11' })).not.toContain('L8.H11');
    expect(nodes({ kind: 'order', nodes: ['L1.H0', 'L2.H2'] }).slice(0, 3)).toEqual(['L1.H0', 'L2.H2', 'L8.H11']);
    expect(nodes({ kind: 'remove', node: 'L0.H0' })).toHaveLength(8);
  });
  it('a removed node takes its edges along', () => {
    const edges = [
      { from: 'L5.H8', to: 'L8.H11', channel: 'q' },
      { from: 'L8.H11', to: 'logits', channel: 'logits' },
    ] as const;
    expect(editCircuit({ ...circuit, edges }, { kind: 'remove', node: 'L5.H8' }).edges).toEqual([edges[1]]);
  });
  it('in a circuit of edges a node comes with all its edges, and goes with them', () => {
    const one: CircuitFile = { ...circuit, scope: 'edges', nodes: [{ node: 'MLP 1' }], edges: [] };
    const edges = (parallel: boolean) =>
      editCircuit(one, { kind: 'add', node: 'L1.H0' }, parallel).edges?.map(
        ({ from, to, channel }) => `${from}>${to} ${channel}`,
      );
    const own = ['emb>L1.H0 q', 'emb>L1.H0 k', 'emb>L1.H0 v'];
    expect(edges(false)).toEqual([...own, 'L1.H0>MLP 1 mlp', 'L1.H0>logits logits']);
    expect(edges(true)).toEqual([...own, 'L1.H0>logits logits']);
    const back = editCircuit(editCircuit(one, { kind: 'add', node: 'L1.H0' }), { kind: 'remove', node: 'L1.H0' });
    expect(back).toEqual(one);
  });
  it('the smallest change of the text is what the undo stack gets', () => {
    const [before, after] = [circuitToText(circuit), circuitToText(without('L9.H9'))];
    const change = smallestChange(before, after);
    expect(change).not.toBeNull();
    if (change === null) return;
    expect(before.slice(0, change.start) + change.text + before.slice(change.end)).toBe(after);
    expect(change.end - change.start).toBeLessThan(100);
    expect(smallestChange(before, before)).toBeNull();
    for (const [a, b] of [
      ['', 'x'],
      ['x', ''],
      ['aa', 'aaa'],
      ['abab', 'ab'],
    ]) {
      const one = smallestChange(a, b);
      expect(one && a.slice(0, one.start) + one.text + a.slice(one.end)).toBe(b);
    }
  });
});
