import { describe, expect, it } from 'vitest';
import { GraphBuilder } from '../../../src/core/engine/graphBuilder.ts';
import { floatTensor, type SessionKind, SessionPool } from '../../../src/core/engine/sessionPool.ts';

/** x → x + layer + offset */
function adding(name: string, offset: number, packed: boolean, built: string[]): SessionKind {
  return {
    name,
    packed,
    build: (layer) => {
      built.push(`${name} ${layer}`);
      const graph = new GraphBuilder(name);
      const x = graph.input('x', 'float32', ['n']);
      graph.output(graph.op('Add', [x, graph.floats(Float32Array.of(layer + offset), [1])]), 'y', 'float32', ['n']);
      return graph.finish();
    },
  };
}

describe('session pool', () => {
  it('makes each session once, keeps two packed kinds and frees the least recently used', async () => {
    const built: string[] = [];
    const pool = new SessionPool(1);
    const kinds = ['a', 'b', 'c'].map((name, i) => adding(name, 10 * i, true, built));
    const rare = adding('rare', 100, false, built);
    const run = async (kind: SessionKind, layer: number) => {
      const { y } = await pool.run(kind, layer, { x: floatTensor(Float32Array.of(1, 2), [2]) }, ['y']);
      return Array.from(y.data, Number);
    };
    expect(await run(kinds[0], 3)).toEqual([4, 5]);
    expect(await run(kinds[0], 3)).toEqual([4, 5]);
    expect(await run(kinds[1], 0)).toEqual([11, 12]);
    expect(await run(rare, 1)).toEqual([102, 103]);
    expect(await run(kinds[0], 3)).toEqual([4, 5]);
    expect(built).toEqual(['a 3', 'b 0', 'rare 1']);
    // A third packed kind: b was used longest ago.
    expect(await run(kinds[2], 0)).toEqual([21, 22]);
    expect(await run(kinds[0], 3)).toEqual([4, 5]);
    expect(await run(rare, 1)).toEqual([102, 103]);
    expect(await run(kinds[1], 0)).toEqual([11, 12]);
    expect(built).toEqual(['a 3', 'b 0', 'rare 1', 'c 0', 'b 0']);
    expect(pool.runs).toBe(9);
    await pool.close();
    await expect(run(kinds[0], 3)).rejects.toMatchObject({ code: 'cancelled' });
    expect(built).toHaveLength(5);
  });

  it('writes into memory that is given', async () => {
    const pool = new SessionPool(1);
    const target = new Float32Array(2);
    const into = { y: floatTensor(target, [2]) };
    await pool.run(adding('a', 0, true, []), 5, { x: floatTensor(Float32Array.of(1, 2), [2]) }, [], { into });
    expect(Array.from(target)).toEqual([6, 7]);
    await pool.close();
  });

  it('says what is wrong with a graph, and works on afterwards', async () => {
    const pool = new SessionPool(1);
    const broken: SessionKind = {
      name: 'broken',
      packed: true,
      build: () => {
        const graph = new GraphBuilder('broken');
        graph.output(graph.op('NoSuchOperator', [graph.input('x', 'float32', ['n'])]), 'y', 'float32', ['n']);
        return graph.finish();
      },
    };
    await expect(pool.prepare(broken, 0)).rejects.toThrow('NoSuchOperator');
    await expect(pool.prepare(adding('a', 0, true, []), 0)).resolves.toBeUndefined();
    await pool.close();
  });
});
