import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import type { TextEdit } from '../../../src/core/tasks/editFrontMatter.ts';
import { appendStep, setStepParameter } from '../../../src/core/tasks/experiment/editStep.ts';

function apply(source: string, edit: TextEdit | null): string {
  if (edit === null) throw new Error('no edit');
  return source.slice(0, edit.start) + edit.newText + source.slice(edit.end);
}

const head = '# About.\nmodel: small-world\ndata: jobs.jsonl # rows\n';
const forms: Readonly<Record<string, string>> = {
  'only its analysis': `${head}steps:\n  - couple\n  - baseline # last\n`,
  'flow, no parameters': `${head}steps:\n  - { run: couple }\n  - baseline\n`,
  'flow, empty parameters': `${head}steps:\n  - { run: couple, with: {} }\n`,
  'flow parameters': `${head}steps:\n  - run: couple\n    with: { norm: scaled, point: prompt } # here\n  - baseline\n`,
  'flow, a comma after the last': `${head}steps:\n  - run: couple\n    with: { norm: scaled, }\n`,
  'flow, on lines with comments': `${head}steps:\n  - run: couple\n    with: { # these\n      norm: scaled # as the paper\n      } # there\n  - baseline\n`,
  'flow, without spaces': `${head}steps:\n  - {run: couple,with: {norm: scaled}}\n`,
  'block, no parameters': `${head}steps:\n  - run: couple # the panel\n  - baseline\n`,
  'block, no value': `${head}steps:\n- name: couple\n  run: couple-features\n  with:\nexpect: []\n`,
  'block parameters': `${head}steps:\n- name: couple\n  run: couple-features\n  with:\n    norm: scaled # as the paper\n    features:\n      - { observable: a, path: L1.H1 }\nexpect: []\n`,
  'with the key': `${head}steps:\n- name: couple\n  run: couple-features\n  with:\n    features:\n      - { observable: a, path: L1.H1 }\n    point: prompt # there\n    norm: scaled\n`,
};

describe('a parameter of a step', () => {
  test.each(Object.entries(forms))('%s: is set, and all else stays', (_, source) => {
    for (const text of [source, source.replaceAll('\n', '\r\n')]) {
      const after = apply(text, setStepParameter(text, 'couple', 'point', 'boundary'));
      const [old, now] = [parse(text), parse(after)];
      const step = now.steps[0];
      expect(step.with.point).toBe('boundary');
      const before = typeof old.steps[0] === 'string' ? { run: old.steps[0] } : old.steps[0];
      expect(step).toEqual({ ...before, with: { ...before.with, point: 'boundary' } });
      expect({ ...now, steps: now.steps.slice(1) }).toEqual({ ...old, steps: old.steps.slice(1) });
      for (const comment of text.match(/# .*?(?=\r?\n)/g) ?? []) expect(after).toContain(comment);
      expect(apply(after, setStepParameter(after, 'couple', 'point', 'boundary'))).toBe(after);
    }
  });

  test('a step that is not there, or no YAML: no edit', () => {
    expect(setStepParameter(forms['flow parameters'], 'other', 'point', 'mean')).toBeNull();
    expect(setStepParameter('steps: [', 'couple', 'point', 'mean')).toBeNull();
    expect(setStepParameter('model: a\n', 'couple', 'point', 'mean')).toBeNull();
  });
});

describe('one more step', () => {
  test.each(Object.entries(forms))('%s: comes last, and all else stays', (_, source) => {
    const after = apply(source, appendStep(source, ['name: tokens', 'run: top-tokens', 'with:', '  corpus: a.txt']));
    const [old, now] = [parse(source), parse(after)];
    expect(now.steps.at(-1)).toEqual({ name: 'tokens', run: 'top-tokens', with: { corpus: 'a.txt' } });
    expect({ ...now, steps: now.steps.slice(0, -1) }).toEqual(old);
  });

  test('a list in flow style is left alone', () => {
    expect(appendStep('steps: [baseline]\n', ['run: baseline'])).toBeNull();
  });
});
