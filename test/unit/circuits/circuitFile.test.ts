import { describe, expect, it } from 'vitest';
import { ablationWords, circuitToText, readCircuit } from '../../../src/core/circuits/circuitFile.ts';
import type { CircuitFile } from '../../../src/shared/circuit.ts';

const model = { label: 'small-world', hash: 'a'.repeat(64), nLayers: 2, nHeads: 4, dMlp: 8 };
const circuit: CircuitFile = {
  schemaVersion: 1,
  kind: 'circuit',
  name: 'two heads',
  model: { ref: 'small-world', hash: model.hash },
  scope: 'heads+mlps',
  nodes: [
    { node: 'L0.H1', role: 'previous token', effect: 0.25 },
    { node: 'MLP 1', at: ['END'] },
  ],
  edges: [{ from: 'emb', to: 'L0.H1', channel: 'v', effect: -1.5 }],
  ablation: { kind: 'mean', corruption: 'cur' },
  provenance: { method: 'by hand' },
};
const text = circuitToText(circuit);

/** Problems as `line:column code`. */
function problemsOf(source: string): string[] {
  return readCircuit(source, model).problems.map(({ start, code, severity }) => {
    const before = source.slice(0, start).split('\n');
    return `${before.length}:${(before.at(-1)?.length ?? 0) + 1} ${severity} ${code}`;
  });
}

describe('circuit files', () => {
  it('come back as they were written, one node a line', () => {
    expect(readCircuit(text, model)).toEqual({ circuit, problems: [] });
    expect(text.split('\n')).toContain('    {"node":"L0.H1","role":"previous token","effect":0.25},');
    expect(text.endsWith('}\n')).toBe(true);
  });

  it('keep keys that Mechanist does not know, and say so', () => {
    const source = text.replace('"role"', '"rôle"').replace('"name"', '"colour": "blue", "name"');
    const { circuit: read, problems } = readCircuit(source, model);
    expect(problems.map(({ code }) => code)).toEqual(['unknown-key', 'unknown-key']);
    expect(problems[1].message).toBe('"rôle" is kept but not read. Did you mean role?');
    expect(read && circuitToText(read)).toContain('"colour": "blue"');
    expect(read && circuitToText(read)).toContain('"rôle":"previous token"');
  });

  it('say line and column of a trailing comma', () => {
    const source = text.replace('"channel":"v","effect":-1.5}', '"channel":"v","effect":-1.5},');
    const { circuit: read, problems } = readCircuit(source, model);
    expect(read).toBeNull();
    expect(problems).toHaveLength(1);
    expect(problems[0].message).toMatch(
      /^There is a comma after the last entry\. Delete it\. \(line 12, column \d+\)$/,
    );
    expect(source[problems[0].start]).toBe(',');
    expect(problemsOf(text.slice(0, 40))[0]).toMatch(/error not-json$/);
    expect(readCircuit('').problems[0].message).toBe('The file ends too early. (line 1, column 1)');
  });

  it('refuse nodes that the model does not have at the word, and read other spellings', () => {
    const source = text.replace('"L0.H1","role"', '"L0.H4","role"').replace('"MLP 1"', '"m1"');
    const { problems } = readCircuit(source, model);
    expect(problems.map(({ message }) => message)).toEqual(['The model has no L0.H4: each layer has heads 0 to 3.']);
    expect(source.slice(problems[0].start, problems[0].end)).toBe('"L0.H4"');
    expect(readCircuit(source, null).circuit?.nodes[1].node).toBe('MLP 1');
    expect(problemsOf(text.replace('"MLP 1"', '"a0.h1"'))[0]).toMatch(/error duplicate-node/);
    expect(problemsOf(text.replace('"from":"emb"', '"from":"embedding"'))[0]).toMatch(/error unknown-node/);
  });

  it('warn of another model and offer to go on', () => {
    const other = readCircuit(text, { ...model, hash: 'b'.repeat(64) });
    expect(other.circuit).toEqual(circuit);
    expect(other.problems).toMatchObject([{ severity: 'warning', code: 'other-model' }]);
    expect(other.problems[0].message).toMatch(/other weights than those of small-world \(hash aaaaaaa, not bbbbbbb\)/);
  });

  it.each([
    ['null', 'wrong-type'],
    ['[]', 'wrong-type'],
    ['{}', 'missing-key'],
    ['{"schemaVersion": 2, "kind": "circuit"}', 'newer-version'],
    [text.replace('"kind": "circuit"', '"kind": "grid"'), 'wrong-type'],
    [text.replace('"mean"', '"median"'), 'wrong-type'],
    [text.replace('{"kind":"mean","corruption":"cur"}', '{"kind":"resample"}'), 'missing-key'],
    [text.replace('"scope": "heads+mlps"', '"scope": "mlps"'), 'wrong-type'],
    [text.replace('"effect":0.25', '"effect":"big"'), 'wrong-type'],
    [text.replace('["END"]', '"END"'), 'wrong-type'],
    [text.replace('"channel":"v"', '"channel":"o"'), 'wrong-type'],
    [text.replace('"nodes": [', '"nodes": [7,'), 'wrong-type'],
  ])('never throw: %#', (source, code) => {
    const { circuit: read, problems } = readCircuit(source, model);
    expect(read).toBeNull();
    expect(problems.map((problem) => problem.code)).toContain(code);
    for (const { start, end } of problems) expect(end).toBeGreaterThan(start);
  });

  it('name what stands in for what is ablated', () => {
    expect(ablationWords({ kind: 'zero' })).toBe('zero');
    expect(ablationWords({ kind: 'mean' })).toMatch(/clean run$/);
    expect(ablationWords({ kind: 'mean', corruption: 'cur' })).toMatch(/corrupted by cur$/);
    expect(ablationWords({ kind: 'resample', corruption: 'cur' })).toBe('the same row corrupted by cur');
  });
});
