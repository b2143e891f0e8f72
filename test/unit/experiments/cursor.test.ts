import { describe, expect, it } from 'vitest';
import { placeAt } from '../../../src/core/tasks/experiment/experimentCursor.ts';

/** Where `|` stands in a text: `kind path word`. */
function at(marked: string): string {
  const offset = marked.indexOf('|');
  const text = marked.replace('|', '');
  const place = placeAt(text, offset);
  if (place === null) return 'nowhere';
  expect(text.slice(place.start, offset)).toBe(place.word);
  return `${place.kind} ${place.path.join(' ')} ${JSON.stringify(place.word)}`;
}

const steps = 'model: m\nsteps:\n  - name: a\n    run: toy\n';

describe('the place of a cursor', () => {
  it.each<[string, string]>([
    ['|', 'key  ""'],
    ['mo|', 'key  "mo"'],
    ['model: |', 'value model ""'],
    ['model: smol|', 'value model "smol"'],
    ['data: { |', 'key data ""'],
    ['data: { file: d.jsonl, ro|', 'key data "ro"'],
    ['data: { file: d|.jsonl', 'value data file "d"'],
    ['data:\n  fi|', 'key data "fi"'],
    ['metric: { kind: |', 'value metric kind ""'],
    ['model: m\n|', 'key  ""'],
    ['steps:\n  - |', 'key steps - ""'],
    ['steps:\n- |', 'key steps - ""'],
    ['steps:\n- ru|', 'key steps - "ru"'],
    ['steps:\n  - run: pat|', 'value steps - run "pat"'],
    ['steps:\n  - { run: pat|', 'value steps - run "pat"'],
    ['steps:\n  - { run: toy, with: { sc|', 'key steps - with "sc"'],
    ['steps: [to|', 'value steps - "to"'],
    [`${steps}    with: { corruption: cur|`, 'value steps - with corruption "cur"'],
    [`${steps}    with:\n      sca|`, 'key steps - with "sca"'],
    [`${steps}    with:\n      ablation:\n        kind: m|`, 'value steps - with ablation kind "m"'],
    [`${steps}    with:\n      heads:\n        - L|`, 'key steps - with heads - "L"'],
    [`${steps}    with: { heads: [L8.H11, L|`, 'value steps - with heads - "L"'],
    [`${steps}    with: { a: "x, {", b|`, 'key steps - with "b"'],
    [`${steps}    |`, 'key steps - ""'],
    [`${steps}  - |`, 'key steps - ""'],
    [`${steps}|`, 'key  ""'],
    [`${steps}expect:\n  - re|`, 'key expect - "re"'],
    [`${steps}expect:\n  - residual L3: |`, 'value expect - residual L3 ""'],
    ['seed: 1 # a comm|', 'nowhere'],
  ])('%j', (text, wanted) => {
    expect(at(text)).toBe(wanted);
  });

  it('has the text of its step, and of no other', () => {
    const text =
      'steps:\n  - run: one\n    with:\n      a: 1\n  - run: two\n\n    with: { b: 2 }\nexpect:\n  - x y: 1\n';
    const stepAt = (part: string) => placeAt(text, text.indexOf(part))?.step ?? '';
    for (const part of ['one', 'with:\n', 'a: 1']) expect(stepAt(part)).toContain('run: one');
    for (const part of ['two', 'b: 2']) expect(stepAt(part)).toContain('run: two');
    expect(stepAt('a: 1')).not.toContain('two');
    expect([stepAt('steps'), stepAt('x y')]).toEqual(['', '']);
  });

  it('is found anywhere in anything', () => {
    const text = `${steps}    with: { a: [1, "b"], c: 'd' }\n\t- x:\n  ]}\n- - -\nexpect: {\n`;
    for (let i = 0; i <= text.length; i++) placeAt(text, i);
  });
});
