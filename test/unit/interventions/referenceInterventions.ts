import type { Intervention, InterventionSite } from '../../../src/shared/intervention.ts';
import type { Packed } from '../reference/referenceFigures.ts';

/** An intervention as scripts/reference/interventionsMath.py has it. */
export interface ReferenceIntervention {
  readonly kind: string;
  readonly hook: string;
  readonly items?: readonly number[];
  readonly positions?: readonly number[];
  readonly heads?: readonly number[];
  readonly neurons?: readonly number[];
  readonly keys?: readonly number[];
  readonly over?: 'batch' | 'position' | 'all';
  readonly from?: string;
  readonly vector?: readonly number[];
  readonly factor?: number;
  readonly pair?: readonly [number, number];
  readonly value?: number;
  readonly renormalize?: boolean;
  readonly P?: readonly (readonly number[])[];
  readonly A?: readonly (readonly number[])[];
  readonly b?: readonly number[];
}

export interface InterventionFigures {
  readonly tolerance: number;
  readonly columnStep: number;
  readonly ids: readonly number[];
  readonly otherIds: readonly number[];
  readonly answer: number;
  readonly foil: number;
  readonly interventions: readonly {
    readonly name: string;
    readonly interventions: readonly ReferenceIntervention[];
    readonly rows: readonly number[];
    readonly logits: Packed;
    readonly differences: readonly number[];
  }[];
}

function site({ hook, items, positions, heads, neurons }: ReferenceIntervention): InterventionSite {
  return {
    hook,
    ...(items && { items }),
    ...(positions && { positions }),
    ...(heads && { heads }),
    ...(neurons && { neurons }),
  };
}

const identity = (size: number) =>
  Array.from({ length: size }, (_, r) => Array.from({ length: size }, (__, c) => Number(r === c)));

function entries(spec: ReferenceIntervention): Intervention {
  const { positions = [], keys = [], value = 0 } = spec;
  const { positions: _positions, ...at } = site(spec);
  if (!spec.hook.endsWith('hook_pattern')) return { kind: 'set', value, at: { ...at, positions, neurons: keys } };
  const chosen = positions.flatMap((query) => keys.map((key) => ({ query, key, value })));
  return { kind: 'editPattern', at, entries: chosen, ...(spec.renormalize && { renormalise: true }) };
}

/** The same intervention as Mechanist's data. */
export function translate(spec: ReferenceIntervention): Intervention {
  const at = site(spec);
  const { vector = [], factor = 1, pair = [0, 0], over = 'batch' } = spec;
  switch (spec.kind) {
    case 'zero':
      return { kind: 'zero', at };
    case 'mean':
      return { kind: 'mean', over, at };
    case 'patch':
      return spec.from === 'own' ? { kind: 'freeze', at } : { kind: 'patch', from: { run: spec.from ?? '' }, at };
    case 'set':
      return { kind: 'set', value: vector, at };
    case 'add':
      return { kind: 'add', vector, at };
    case 'scale':
      return { kind: 'scale', factor, at };
    case 'project-out':
      return { kind: 'projectOut', direction: vector, at };
    case 'swap-positions':
      return { kind: 'swapPositions', pairs: [pair], at };
    case 'set-entries':
      return entries(spec);
    case 'low-rank': {
      const left = spec.A ?? [];
      return {
        kind: 'lowRank',
        p: spec.P ?? 1,
        a: { left, right: identity(left.length) },
        ...(spec.b && { b: spec.b }),
        at,
      };
    }
    default:
      throw new Error(spec.kind);
  }
}
