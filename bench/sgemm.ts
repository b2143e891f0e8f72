import { GraphBuilder } from '../src/core/engine/graphBuilder.ts';
import { floatTensor, type SessionKind, SessionPool } from '../src/core/engine/sessionPool.ts';

const ROUNDS = 24;

/** `x [rows, in] · W [in, out]` with packed weights; only one row comes out, so that nothing but the product costs time. */
function productKind(inner: number, outer: number): SessionKind {
  return {
    name: `product ${inner} × ${outer}`,
    packed: true,
    ownedByCaller: true,
    build: () => {
      const graph = new GraphBuilder('product');
      const x = graph.input('x', 'float32', ['rows', inner]);
      const weights = Float32Array.from({ length: inner * outer }, (_, i) => ((i * 7919) % 1024) / 1024 - 0.5);
      const product = graph.op('MatMul', [x, graph.floats(weights, [inner, outer])]);
      graph.output(graph.op('Gather', [product, graph.integers([0])], { axis: 0 }), 'y', 'float32', [1, outer]);
      return graph.finish();
    },
  };
}

/**
 * Rate of float32 matrix products on this machine, in 10⁹ floating-point operations a second of wall and of CPU time: the four
 * products of a transformer block at `rows` positions, as the engine runs them, with nothing around them.
 */
export async function measureSgemm(
  { dModel, dMlp, threads }: { readonly dModel: number; readonly dMlp: number; readonly threads: number },
  rows = 1024,
): Promise<{ readonly wall: number; readonly cpu: number }> {
  const pool = new SessionPool(threads);
  const shapes = [
    [dModel, 3 * dModel],
    [dModel, dModel],
    [dModel, dMlp],
    [dMlp, dModel],
  ];
  const jobs = shapes.map(([inner, outer]) => ({
    kind: productKind(inner, outer),
    x: floatTensor(new Float32Array(rows * inner).fill(0.5), [rows, inner]),
  }));
  const all = async () => {
    for (const { kind, x } of jobs) await pool.run(kind, 0, { x }, ['y']);
  };
  for (let round = 0; round < 3; round += 1) await all();
  const [cpu, start] = [process.cpuUsage(), performance.now()];
  for (let round = 0; round < ROUNDS; round += 1) await all();
  const wall = performance.now() - start;
  const { user, system } = process.cpuUsage(cpu);
  await pool.close();
  const operations = 2 * rows * ROUNDS * shapes.reduce((sum, [inner, outer]) => sum + inner * outer, 0);
  return { wall: operations / wall / 1e6, cpu: operations / (user + system) / 1e3 };
}
