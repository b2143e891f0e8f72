import type { CircuitFile } from '../../shared/circuit.ts';
import type { CircuitPanelState, CircuitSetting } from '../../shared/circuitPanelProtocol.ts';
import { count, share, signed } from '../../shared/format.ts';
import {
  type AnswerChoice,
  ablationWords,
  estimateOf,
  evaluationSubtitle,
  evaluationTitle,
  partNoun,
} from './evaluationPictures.ts';
import { layerOf } from './nodeText.ts';

/** Nodes that may be in the circuit at all. */
function scopeSize({ scope }: CircuitFile, { nLayers, nHeads }: CircuitSetting): number | undefined {
  if (scope === 'heads') return nLayers * nHeads;
  return scope === 'heads+mlps' ? nLayers * (nHeads + 1) : undefined;
}

/** `8 of 144 heads: faithfulness 1.05, random .03`, or what is known of it. */
export function titleOf(state: CircuitPanelState, circuit: CircuitFile, answer: AnswerChoice): string {
  const { evaluation, setting, freshness } = state;
  const total = setting ? scopeSize(circuit, setting) : undefined;
  if (evaluation !== null && freshness !== 'old') return evaluationTitle(evaluation, answer, total);
  const n = circuit.scope === 'edges' ? (circuit.edges?.length ?? 0) : circuit.nodes.length;
  const of = total === undefined ? '' : ` of ${count(total)}`;
  const size = `${count(n)}${of} ${partNoun(circuit.scope, total ?? n)}`;
  if (evaluation === null) return `${circuit.name}: ${size}`;
  return `${size}: faithfulness ${state.error === null ? 'updating' : 'not computed'}, was ${share(estimateOf(evaluation.faithfulness, answer).mean)}`;
}

export function subtitleOf({ evaluation, setting }: CircuitPanelState, circuit: CircuitFile): string {
  if (evaluation !== null) return evaluationSubtitle(evaluation);
  const rows = setting === null ? '' : `n = ${count(setting.rows)} rows · `;
  const model = setting === null ? circuit.model.ref : `${setting.modelLabel} · #${setting.modelHash.slice(0, 7)}`;
  return `${rows}outside the circuit: ${ablationWords(circuit.ablation)} · ${model}`;
}

/** What the taking out of a node does, from the evaluation; null where it has no numbers for it. */
export function removalText(state: CircuitPanelState, node: string, answer: AnswerChoice): string | null {
  const { evaluation } = state;
  const found = evaluation?.minimality.find((one) => one.node === node);
  if (evaluation === null || found === undefined) return null;
  const [own, zero, full] = [evaluation.inCircuit, evaluation.empty, evaluation.full].map(
    (by) => estimateOf(by, answer).mean,
  );
  const without = own - estimateOf(found.loss, answer).mean;
  const faithful = share(estimateOf(evaluation.faithfulness, answer).mean);
  const then = share((without - zero) / (full - zero));
  return `Removing it: ${signed(own)} → ${signed(without)} ${evaluation.metric.unit}, faithfulness ${faithful} → ${then}`;
}

/** What the putting in of a node does. */
export function additionText(state: CircuitPanelState, node: string): string | null {
  const found = state.gains.find((one) => one.node === node);
  if (found === undefined || state.evaluation === null) return null;
  return `Adding it: ${signed(found.gain)} ${state.evaluation.metric.unit}, mean over all answers`;
}

/** Effect of each node, by name: what is lost without it, else what its method said. */
export function effectsOf(
  { evaluation }: CircuitPanelState,
  circuit: CircuitFile,
  answer: AnswerChoice,
): ReadonlyMap<string, number> {
  const effects = new Map<string, number>();
  for (const { node, effect } of circuit.nodes) if (effect !== undefined) effects.set(node, effect);
  for (const { node, loss } of evaluation?.minimality ?? []) effects.set(node, estimateOf(loss, answer).mean);
  return effects;
}

/** Nodes outside, those that change the metric most first; without numbers in order of layers. */
export function outsideNodes(
  state: CircuitPanelState,
  circuit: CircuitFile,
  all: readonly string[],
): readonly { readonly node: string; readonly gain: number | null }[] {
  const inside = new Set(circuit.nodes.map(({ node }) => node));
  const gains = new Map(state.gains.map(({ node, gain }) => [node, gain]));
  const outside = all.filter((node) => !inside.has(node)).map((node) => ({ node, gain: gains.get(node) ?? null }));
  const size = (gain: number | null): number => (gain === null ? -1 : Math.abs(gain));
  return outside.sort((a, b) => size(b.gain) - size(a.gain) || layerOf(a.node, 0) - layerOf(b.node, 0));
}
