import { describe, expect, it } from 'vitest';
import { allHookPoints, hookName, parseHookPoint } from '../../../src/core/engine/hookPoints.ts';
import { MechanistError } from '../../../src/shared/errors.ts';
import { SHAPES } from '../../support/randomModel.ts';

const { gpt2, llama, gptNeoX } = SHAPES;

function refusal(name: string, config = gpt2): MechanistError {
  try {
    parseHookPoint(name, config);
  } catch (error) {
    if (error instanceof MechanistError) return error;
  }
  throw new Error(`${name} was not refused`);
}

describe('hook points', () => {
  it('reads back every name it writes', () => {
    for (const config of [gpt2, llama, gptNeoX]) {
      for (const point of allHookPoints(config)) expect(parseHookPoint(hookName(point), config)).toEqual(point);
    }
  });

  it.each([
    ['blocks.1.hook_in', 'blocks.1.hook_resid_pre'],
    ['blocks.1.hook_out', 'blocks.1.hook_resid_post'],
    ['blocks.1.attn.hook_out', 'blocks.1.hook_attn_out'],
    ['blocks.1.attn.o.hook_in', 'blocks.1.attn.hook_z'],
    ['blocks.0.mlp.hook_in', 'blocks.0.ln2.hook_normalized'],
    ['transformer.h.2', 'blocks.2.hook_resid_post'],
    ['transformer.h.2.hook_in', 'blocks.2.hook_resid_pre'],
    ['transformer.h.2.attn', 'blocks.2.hook_attn_out'],
    ['transformer.h.2.mlp.c_proj.hook_in', 'blocks.2.mlp.hook_post'],
    ['transformer.wte', 'hook_embed'],
    ['transformer.ln_f.hook_out', 'ln_final.hook_normalized'],
    ['embed.hook_out', 'hook_embed'],
  ])('knows %s as %s', (alias, name) => {
    expect(hookName(parseHookPoint(alias, gpt2))).toBe(name);
  });

  it.each([
    ['model.layers.1.self_attn', 'blocks.1.hook_attn_out'],
    ['model.layers.1.self_attn.o_proj.hook_in', 'blocks.1.attn.hook_z'],
    ['model.layers.1.mlp.gate_proj', 'blocks.1.mlp.hook_pre'],
    ['blocks.1.mlp.in.hook_out', 'blocks.1.mlp.hook_pre_linear'],
    ['model.norm', 'ln_final.hook_normalized'],
  ])('knows %s as %s in gated models', (alias, name) => {
    expect(hookName(parseHookPoint(alias, llama))).toBe(name);
  });

  it('refuses unknown names with the nearest ones', () => {
    const error = refusal('blocks.1.attn.hook_zz');
    expect(error.code).toBe('bad-input');
    expect(error.data.nearest).toContain('blocks.1.attn.hook_z');
    expect(refusal('').code).toBe('bad-input');
    expect(refusal('x'.repeat(100_000)).code).toBe('bad-input');
    expect(refusal('transformer.h.1.nonsense').code).toBe('bad-input');
  });

  it('refuses what the architecture does not have', () => {
    expect(refusal('blocks.3.hook_resid_pre').message).toContain('layers 0 to 2');
    expect(refusal('hook_pos_embed', llama).code).toBe('bad-input');
    expect(refusal('blocks.0.hook_resid_mid', gptNeoX).code).toBe('bad-input');
    expect(refusal('blocks.0.attn.hook_rot_q').code).toBe('bad-input');
    expect(refusal('blocks.0.mlp.hook_pre_linear').code).toBe('bad-input');
  });
});
