import { describe, expect, it } from 'vitest';
import { InterventionGraphs } from '../../../src/core/engine/interventions/compiledEdits.ts';
import type { BlockEditShape } from '../../../src/core/engine/interventions/interventionSink.ts';
import { ModelRunner } from '../../../src/core/engine/modelRunner.ts';
import { type SessionKind, SessionPool } from '../../../src/core/engine/sessionPool.ts';
import type { Intervention } from '../../../src/shared/intervention.ts';
import { randomModel, SHAPES } from '../../support/randomModel.ts';

const config = SHAPES.gpt2;
const zero: BlockEditShape = new Map([['attn.hook_z', ['affine']]]);
const project: BlockEditShape = new Map([['attn.hook_z', ['project']]]);

/** A pool that notes what is freed. */
class NotingPool extends SessionPool {
  readonly freed: string[] = [];
  override async release(kind: SessionKind): Promise<void> {
    this.freed.push(kind.name);
    await super.release(kind);
  }
}

describe('graphs with interventions', () => {
  const { model, remove } = randomModel(config, 1);

  it('are one for each layer and shape, and at most as many as layers', async () => {
    const pool = new NotingPool(1);
    const graphs = new InterventionGraphs(config, model.weights, pool);
    const first = graphs.kind(0, zero);
    expect(graphs.kind(0, new Map(zero))).toBe(first);
    expect(graphs.kind(1, zero)).not.toBe(first);
    expect(graphs.kind(0, project)).not.toBe(first);
    await graphs.trim();
    expect(pool.freed).toEqual([]);
    graphs.kind(0, zero);
    const fourth = graphs.kind(2, zero);
    await graphs.trim();
    expect(pool.freed).toEqual(['block 1 with attn.hook_z: affine']);
    expect(graphs.kind(2, zero)).toBe(fourth);
    await pool.close();
  });

  it('serve runs at the same time, whatever their shapes', async () => {
    const runner = await ModelRunner.open(model, { threads: 1 });
    const tokens = [[1, 2, 3, 4]];
    const lists = ['attn.hook_q', 'attn.hook_z', 'mlp.hook_post', 'hook_mlp_out', 'hook_resid_mid'].map(
      (hook): Intervention[] => [{ kind: 'scale', factor: 2, at: { hook } }],
    );
    const run = async (interventions: Intervention[]) =>
      (await runner.runWith(tokens, { interventions })).residual.data;
    const together = await Promise.all(lists.map(run));
    for (const [i, list] of lists.entries()) expect(await run(list)).toEqual(together[i]);
    await runner.close();
    remove();
  });
});
