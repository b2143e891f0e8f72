import { throwIfCancelled } from '../../shared/errors.ts';
import type { OnProgress } from '../../shared/progress.ts';
import type { StepContext } from '../experiments/stepKind.ts';
import { shortNumber } from '../experiments/steps/rowGroups.ts';
import { klDivergence } from '../tasks/metrics.ts';
import type { ResolvedObservable } from '../tasks/observable.ts';
import type { ControlText } from './controlTexts.ts';
import { type PairRuns, runPairs } from './pairRuns.ts';
import { type Pair, type PairSide, sideBatches } from './pairSides.ts';
import { observableValue } from './steerAlong.ts';
import type { StreamEdit, StreamEditor } from './streamEdit.ts';
import { type TextLoss, textLoss } from './textLoss.ts';

export const debiasModes = ['project-out', 'set-to-mean', 'pair-patch'] as const;
export type DebiasMode = (typeof debiasModes)[number];

/** A number of each pair's two prompts, in the order of the pairs. */
export interface OfSides {
  readonly clean: readonly number[];
  readonly corrupted: readonly number[];
}

/** What an edit does, pair by pair. */
export interface EditedPairs {
  readonly bias: OfSides;
  readonly protected: OfSides;
  /** KL of the next tokens from the unedited run, summed over the vocabulary, nats; 0 where a prompt is not edited. */
  readonly kl: OfSides;
  /** Null where the mode says nothing about prompts without a partner. */
  readonly control: TextLoss | null;
}

export interface DebiasedLayer {
  readonly before: Pick<EditedPairs, 'bias' | 'protected'>;
  /** x · v before, v of length 1. */
  readonly coefficients: OfSides;
  readonly modes: Readonly<Partial<Record<DebiasMode, EditedPairs>>>;
  /** Of the unedited model; null without control texts. */
  readonly control: TextLoss | null;
}

export interface DebiasRequest {
  readonly pairs: readonly Pair[];
  readonly modes: readonly DebiasMode[];
  readonly bias: ResolvedObservable;
  readonly protected: ResolvedObservable;
  readonly controls: readonly ControlText[];
}

/** Sides in the order clean 0, corrupted 0, clean 1, …, back to pairs. */
function ofSides(values: readonly number[]): OfSides {
  const every = (first: number) => values.filter((_, i) => i % 2 === first).map(shortNumber);
  return { clean: every(0), corrupted: every(1) };
}

/** The edit of a batch: what x · v becomes. A clean prompt of `pair-patch` keeps its own. */
function editOf(
  mode: DebiasMode,
  sides: readonly PairSide[],
  batch: readonly number[],
  coefficients: readonly number[],
): StreamEdit {
  const mean = coefficients.reduce((sum, value) => sum + value, 0) / coefficients.length;
  const amounts = batch.map((side) => {
    if (mode === 'project-out') return 0;
    if (mode === 'set-to-mean') return mean;
    // The clean prompt stands right before its partner.
    return coefficients[side % 2 === 0 ? side : side - 1];
  });
  return { kind: 'set', amounts, positions: batch.map((side) => [sides[side].at]) };
}

class LayerDebiaser {
  private readonly sides: readonly PairSide[];

  constructor(
    private readonly context: Pick<StepContext, 'runner' | 'memoryBytes' | 'signal' | 'giveWay'>,
    private readonly editor: StreamEditor,
    private readonly request: DebiasRequest,
    private readonly onStep: () => void,
  ) {
    this.sides = request.pairs.flatMap(({ clean, corrupted }) => [clean, corrupted]);
  }

  private async step(): Promise<void> {
    throwIfCancelled(this.context.signal);
    await this.context.giveWay?.();
    this.onStep();
  }

  unedited(): Promise<PairRuns> {
    return runPairs(this.context, this.editor, this.sides, this.onStep);
  }

  private logits(final: Float32Array, batch: readonly number[]): Promise<Float32Array> {
    return this.editor.logitsAt(
      final,
      batch.length,
      batch.map((side) => this.sides[side].answer),
    );
  }

  /** Without a mode: the unedited model, whose KL from itself is 0. */
  async measure(unedited: PairRuns, mode: DebiasMode | null): Promise<Omit<EditedPairs, 'control'>> {
    const { bias, protected: other } = this.request;
    const [first, second, kl] = [0, 1, 2].map(() => new Array<number>(this.sides.length).fill(0));
    for (const { sides, run } of unedited.batches) {
      await this.step();
      const before = await this.logits(run.final, sides);
      const edit = mode === null ? null : editOf(mode, this.sides, sides, unedited.coefficients);
      const after = edit === null ? before : await this.logits(await this.editor.edited(run, edit), sides);
      const width = before.length / sides.length;
      sides.forEach((side, item) => {
        // A clean prompt is the model of its partner: it is not edited itself.
        const kept = mode === 'pair-patch' && side % 2 === 0;
        const [was, is] = [before, kept ? before : after].map((all) => all.subarray(item * width, (item + 1) * width));
        first[side] = observableValue(bias, is);
        second[side] = observableValue(other, is);
        kl[side] = kept || mode === null ? 0 : klDivergence(was, is);
      });
    }
    return { bias: ofSides(first), protected: ofSides(second), kl: ofSides(kl) };
  }

  /** Loss of the control texts, unedited and by mode. `pair-patch` needs a partner, which they have not. */
  async control({ coefficients }: PairRuns): Promise<ReadonlyMap<DebiasMode | null, TextLoss>> {
    const { runner, signal } = this.context;
    const mean = coefficients.reduce((sum, value) => sum + value, 0) / coefficients.length;
    const modes = [null, ...this.request.modes.filter((mode) => mode !== 'pair-patch')];
    const losses = new Map<DebiasMode | null, TextLoss>();
    for (const { tokens, first, positions } of this.request.controls) {
      await this.step();
      const run = await this.editor.unedited(tokens);
      for (const mode of modes) {
        const amounts = tokens.map(() => (mode === 'set-to-mean' ? mean : 0));
        const edit: StreamEdit = { kind: 'set', amounts, positions: tokens.map(() => positions) };
        const final = mode === null ? run.final : await this.editor.edited(run, edit);
        const { sum, n } = await textLoss(runner, tokens, final, first, signal);
        const before = losses.get(mode) ?? { sum: 0, n: 0 };
        losses.set(mode, { sum: before.sum + sum, n: before.n + n });
      }
    }
    return losses;
  }
}

/**
 * Changes the part of the stream along a feature at one hook and role, and measures both observables on all pairs: `project-out` sets
 * x · v to 0, `set-to-mean` to the mean over all prompts, `pair-patch` gives the corrupted prompt that of its partner,
 * x + ((x' − x) · v) v for unit v (appendix G of the paper; its code has a factor of four too much). One forward pass of every prompt,
 * and for each mode the layers from the hook on; likewise texts of `controls`.
 * @throws MechanistError `cancelled`
 */
export async function debiasLayer(
  context: Pick<StepContext, 'runner' | 'memoryBytes' | 'signal' | 'giveWay'> & { readonly onProgress?: OnProgress },
  editor: StreamEditor,
  request: DebiasRequest,
  label: string,
): Promise<DebiasedLayer> {
  const { modes, pairs, controls } = request;
  const batches = sideBatches(pairs.flatMap(({ clean, corrupted }) => [clean, corrupted])).length;
  const total = batches * (2 + modes.length) + controls.length;
  let done = 0;
  const debiaser = new LayerDebiaser(context, editor, request, () => {
    context.onProgress?.({ done, total, label });
    done += 1;
  });
  const unedited = await debiaser.unedited();
  const before = await debiaser.measure(unedited, null);
  const control = await debiaser.control(unedited);
  const edited: Partial<Record<DebiasMode, EditedPairs>> = {};
  for (const mode of modes) {
    edited[mode] = { ...(await debiaser.measure(unedited, mode)), control: control.get(mode) ?? null };
  }
  return {
    before: { bias: before.bias, protected: before.protected },
    coefficients: ofSides(unedited.coefficients),
    modes: edited,
    control: control.get(null) ?? null,
  };
}
