import type { StepKind } from '../../../src/core/experiments/stepKind.ts';
import { MechanistError, throwIfCancelled } from '../../../src/shared/errors.ts';

interface ToyParams {
  readonly cells: number;
  readonly scale: number;
  readonly circuit?: string;
}

/** What the toy analyses did, and what they should do. */
export interface ToyLog {
  readonly ran: string[];
  /** Called at the start of each cell. */
  before: (id: string) => void | Promise<void>;
}

/** An analysis without a model: each cell is a number that only its id, the seed and the parameters decide. */
export function toyKind(log: ToyLog, version?: number): StepKind {
  const kind: StepKind<ToyParams> = {
    name: 'toy',
    ...(version !== undefined && { version }),
    params: {
      type: 'object',
      description: 'Numbers that depend on nothing but the cell.',
      properties: {
        cells: { type: 'integer', minimum: 0, default: 6, description: 'How many cells.' },
        scale: { type: 'number', default: 1, description: 'What they are multiplied by.' },
        form: { enum: ['odd', 'even'], description: 'Nothing.' },
        circuit: { type: 'string', description: 'A circuit whose nodes are counted.' },
        ablation: {
          description: 'What stands in.',
          oneOf: [
            { enum: ['zero'] },
            {
              type: 'object',
              required: ['kind', 'of'],
              additionalProperties: false,
              properties: { kind: { const: 'mean' }, of: { type: 'string', description: 'Whose mean.' } },
            },
          ],
        },
        metric: { type: 'object', description: 'How it is scored.' },
      },
      additionalProperties: false,
    },
    cells: ({ task }, { cells }) => {
      if (cells > 100) throw new MechanistError('bad-input', `${task.name} has no ${cells} cells.`);
      return Array.from({ length: cells }, (_, i) => ({ id: `c${i}`, passes: i + 1 }));
    },
    run: async (context, { scale, circuit }, { id }) => {
      await log.before(id);
      throwIfCancelled(context.signal);
      log.ran.push(id);
      const nodes = circuit === undefined ? 0 : context.circuit(circuit).nodes.length;
      context.onProgress?.({ done: 1, total: 2, label: 'half' });
      const value = scale * Math.sin(context.seed + Number(id.slice(1))) + nodes;
      return { value, odd: [Number.NaN, Number.NEGATIVE_INFINITY, -0], list: Float32Array.of(0.1, 2) };
    },
    assemble: (_context, { cells }, results) => {
      const values = Array.from(
        { length: cells },
        (_, i) => (results.get(`c${i}`)?.value as number | undefined) ?? null,
      );
      const done = values.filter((value) => value !== null);
      const nodes = done.map((_, i) => ({ node: `L0.H${i}` }));
      return {
        title: 'Toy',
        subtitle: 'of numbers',
        pictures: [
          {
            type: 'table',
            id: 't',
            title: 'T',
            subtitle: '',
            columns: [{ name: 'value' }],
            rows: values.map((v) => [v]),
          },
        ],
        values: { sum: done.reduce((sum, value) => sum + value, 0), odd: results.get('c0')?.odd === undefined ? 0 : 1 },
        warnings: [],
        ablation: 'none',
        circuit: {
          ...{ schemaVersion: 1, kind: 'circuit', name: 'toy', model: { ref: 'm' }, scope: 'heads' },
          ...{ nodes, ablation: { kind: 'zero' }, provenance: { by: 'toy' } },
        },
      };
    },
  };
  return kind as unknown as StepKind;
}

/** For tests that run nothing. */
export const toyKinds: readonly StepKind[] = [toyKind({ ran: [], before: () => undefined })];

/** A file with one step of six cells. */
export function fileText(more = ''): string {
  return `model: m\ndata: d.jsonl\nsteps:\n  - run: toy\n    with: { cells: 6 }\n${more}`;
}
