import { readFileSync } from 'node:fs';
import { Ajv } from 'ajv';
import { describe, expect, it } from 'vitest';
import { allHookPoints, hookName } from '../../../src/core/engine/hookPoints.ts';
import { INTERVENTION_KINDS, readIntervention } from '../../../src/core/engine/interventions/readIntervention.ts';
import type { Intervention } from '../../../src/shared/intervention.ts';
import { seededRandom } from '../../../src/shared/statistics.ts';
import { SHAPES } from '../../support/randomModel.ts';
import { RandomInterventions } from './randomInterventions.ts';

const schema = JSON.parse(
  readFileSync(new URL('../../../media/schemas/intervention.schema.json', import.meta.url), 'utf8'),
) as object;
const valid = new Ajv({ allErrors: true }).compile(schema);

/** One of each kind, held to the TypeScript type by the compiler; all fields present. */
const EXAMPLES: Readonly<{ [K in Intervention['kind']]: Extract<Intervention, { kind: K }> }> = {
  zero: {
    kind: 'zero',
    at: { hook: 'attn.hook_z', layers: [0, 2], heads: [1], neurons: [0], positions: [-1], items: [0] },
  },
  mean: { kind: 'mean', over: 'group', groups: [0, 1, 0], of: 'clean', at: { hook: 'hook_mlp_out' } },
  resample: { kind: 'resample', seed: 7, of: 'clean', at: { hook: 'blocks.1.attn.hook_z' } },
  patch: {
    kind: 'patch',
    from: { run: 'corrupted', items: [1], positions: [3] },
    renormalise: true,
    at: { hook: 'hook_resid_pre', positions: [2] },
  },
  set: { kind: 'set', value: [1, 2.5], at: { hook: 'hook_embed' } },
  add: { kind: 'add', vector: [0.5, -1], factor: 3, at: { hook: 'hook_resid_pre' } },
  scale: { kind: 'scale', factor: -0.5, at: { hook: 'attn.hook_pattern' } },
  projectOut: { kind: 'projectOut', direction: [1, 1], at: { hook: 'hook_resid_post' } },
  swapPositions: { kind: 'swapPositions', pairs: [[0, -1]], at: { hook: 'hook_embed' } },
  editPattern: {
    kind: 'editPattern',
    entries: [{ query: 3, key: 1, value: 0.5 }],
    renormalise: true,
    at: { hook: 'attn.hook_pattern' },
  },
  freeze: { kind: 'freeze', of: 'clean', at: { hook: 'ln1.hook_scale' } },
  lowRank: {
    kind: 'lowRank',
    p: [
      [1, 0],
      [0, 1],
    ],
    a: { left: [[1], [2]], right: [[3, 4]] },
    b: [0, 1],
    at: { hook: 'hook_mlp_out' },
  },
};

/** Copies of a value in which one field somewhere is left out, renamed or of another type. */
function mutants(value: unknown): unknown[] {
  if (Array.isArray(value)) {
    const inner = value.flatMap((item, i) => mutants(item).map((changed) => value.with(i, changed)));
    return [...inner, [], [...value, 'text'], value[0]];
  }
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value);
    return entries.flatMap(([key, own]) => {
      const others = Object.fromEntries(entries.filter(([name]) => name !== key));
      return [
        others,
        { ...others, [`${key}x`]: own },
        ...mutants(own).map((changed) => ({ ...others, [key]: changed })),
      ];
    });
  }
  return [null, true, 'text', '', -3, 1.5, [1, 2], { hook: 'x' }];
}

describe('the JSON schema of interventions', () => {
  it('knows every kind', () => {
    expect(Object.keys(EXAMPLES)).toEqual(INTERVENTION_KINDS);
  });

  it.each(Object.values(EXAMPLES))('accepts $kind as the type has it', (example) => {
    expect(valid([example]), JSON.stringify(valid.errors)).toBe(true);
    expect(readIntervention(example)).toEqual(example);
  });

  it.each(Object.values(EXAMPLES))('and the engine agree on every mistake in $kind', (example) => {
    const wrong = mutants(example);
    expect(wrong.filter((value) => !valid([value])).length).toBeGreaterThan(10);
    for (const value of wrong) {
      const read = readIntervention(value);
      expect(typeof read !== 'string', `${JSON.stringify(value)} → ${JSON.stringify(read)}`).toBe(valid([value]));
    }
  });

  it('accepts whatever is made for the random tests', () => {
    for (const config of Object.values(SHAPES)) {
      const make = new RandomInterventions(seededRandom(3), config, 3, 7);
      for (const hook of allHookPoints(config).map(hookName)) {
        for (const kind of make.kindsAt(hook)) {
          const one = make.make(kind, hook);
          expect(valid([one]), JSON.stringify(one).slice(0, 200)).toBe(true);
          expect(readIntervention(one)).toEqual(one);
        }
      }
    }
  });

  it('refuses numbers that JSON cannot hold', () => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(readIntervention({ kind: 'set', value, at: { hook: 'x' } })).toMatch(/"value" must be a number or a list/);
      expect(readIntervention({ kind: 'add', vector: [0, value], at: { hook: 'x' } })).toMatch(
        /entry 1 must be a finite/,
      );
    }
  });
});
