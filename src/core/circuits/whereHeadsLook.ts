import type { CircuitFile, CircuitNode } from '../../shared/circuit.ts';
import type { CircuitRead } from '../../shared/circuitPanelProtocol.ts';
import type { TaskItem, TaskSet } from '../../shared/taskSet.ts';
import type { ModelRunner, RunContext } from '../engine/modelRunner.ts';
import { parseNodeName } from './nodeNames.ts';

/** Rows that are looked at: a mean over more says nothing else. */
const MOST_ROWS = 64;
/** Entries of attention patterns that are read at once, all layers together. */
const MOST_ENTRIES = 2 ** 24;

/** Position from which a node is looked at: the first place it names, else the last answer's. */
function queryOf(item: TaskItem, { at = [] }: CircuitNode): number {
  for (const place of at) {
    const position = item.roles[place]?.[0] ?? (/^\d+$/.test(place) ? Number(place) : undefined);
    if (position !== undefined && position < item.ids.length) return position;
  }
  return Math.max(...item.answers.map(({ position }) => position));
}

/** Position of the example row that a key stands for: that of its role, else its own. */
function columnOf(item: TaskItem, example: TaskItem, key: number): number {
  const role = Object.entries(item.roles).find(([, positions]) => positions.includes(key))?.[0];
  return (role === undefined ? undefined : example.roles[role]?.[0]) ?? key;
}

/**
 * Where each head of a circuit attends most from where it stands: mean over rows as long as the first, at most 64. The first
 * position is left out, since most heads rest there. Cost: one forward pass of those rows up to the highest head.
 */
export async function whereHeadsLook(
  runner: ModelRunner,
  { items }: TaskSet,
  { nodes }: CircuitFile,
  context: RunContext,
): Promise<CircuitRead[]> {
  const heads = nodes.flatMap((node) => {
    const part = parseNodeName(node.node);
    return part?.kind === 'head' ? [{ ...part, node }] : [];
  });
  const [example] = items;
  if (heads.length === 0 || example === undefined) return [];
  const layers = [...new Set(heads.map(({ layer }) => layer))];
  const perRow = layers.length * runner.config.nHeads * example.ids.length ** 2;
  const most = Math.max(1, Math.min(MOST_ROWS, Math.floor(MOST_ENTRIES / perRow)));
  const rows = items.filter(({ ids }) => ids.length === example.ids.length).slice(0, most);
  const { activations } = await runner.run(
    rows.map(({ ids }) => ids),
    {
      hooks: layers.map((layer) => `blocks.${layer}.attn.hook_pattern`),
      toLayer: Math.max(...layers) + 1,
      signal: context.signal,
    },
  );
  return heads.map(({ node, layer, head }): CircuitRead => {
    const sums = new Float64Array(example.ids.length);
    const pattern = activations.get(`blocks.${layer}.attn.hook_pattern`);
    if (pattern === undefined) throw new Error(`The pattern of layer ${layer} was not read.`);
    const [, nHeads, nQueries, nKeys] = pattern.dims;
    rows.forEach((item, i) => {
      const query = queryOf(item, node);
      const start = ((i * nHeads + head) * nQueries + query) * nKeys;
      for (let key = query === 0 ? 0 : 1; key <= query; key++)
        sums[columnOf(item, example, key)] += pattern.data[start + key] / rows.length;
    });
    const from = sums.indexOf(Math.max(...sums));
    return { node: node.node, from, attention: sums[from] };
  });
}
