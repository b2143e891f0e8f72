import { signed } from '../../shared/format.ts';

/** A gap before and after an edit, in logits. */
export interface GapChange {
  /** What is measured: `␣she − ␣he`. */
  readonly label: string;
  readonly before: number;
  readonly after: number;
}

export interface DebiasFacts {
  /** `projecting out at L0`, lower case. */
  readonly what: string;
  readonly bias: GapChange;
  readonly protected: GapChange;
  /** Mean loss of control texts, nats; null where none was measured. */
  readonly control: { readonly before: number; readonly after: number } | null;
}

/** What may be said of an edit. */
export interface DebiasVerdict {
  readonly kind:
    | 'no gap'
    | 'no effect'
    | 'bias grows'
    | 'turned round'
    | 'not selective'
    | 'cost unknown'
    | 'costly'
    | 'selective here';
  readonly sentence: string;
  /** The outcome in a line: both gaps, never one alone. */
  readonly headline: string;
}

const OUTCOMES: Readonly<Record<DebiasVerdict['kind'], string>> = {
  'no gap': 'has no gap to remove',
  'no effect': 'has no effect to speak of',
  'bias grows': 'widens the gap',
  'turned round': 'turns the gap round',
  'not selective': 'is not selective',
  'cost unknown': 'lowers the gap, its cost is not measured',
  costly: 'lowers the gap and is costly',
  'selective here': 'is selective on these prompts',
};

/** Smaller gaps are none, in logits. */
const NO_GAP = 0.05;
/** Share of a gap whose change is too small to speak of. */
const UNCHANGED = 0.1;
/** Share of a gap below which its change is none at all. */
const NONE = 0.03;
/** Share of a gap that it may have the other way round and still be small. */
const TURNED = 0.25;
/** Rise of the control loss that is a price, nats. */
const COSTLY = 0.05;

const change = ({ before, after }: GapChange) => (after - before) / before;
const numbers = ({ before, after }: GapChange) => `${signed(before)} to ${signed(after)}`;
const arrow = (gap: GapChange) => `${gap.label} ${signed(gap.before)} → ${signed(gap.after)}`;
const percentOf = (ratio: number) => `${Math.round(Math.abs(ratio) * 100)} %`;

function biasWords(gap: GapChange): string {
  const { after, before } = gap;
  if (after * before < 0) return `turns the gap of ${gap.label} round (${numbers(gap)})`;
  return `lowers the gap of ${gap.label} by ${percentOf(change(gap))} (${numbers(gap)})`;
}

function hardlyWords(gap: GapChange): string {
  const why = 'here the model does not read it along this direction any more, or not yet';
  if (Math.abs(change(gap)) < NONE) return `has no effect on the gap of ${gap.label} (${numbers(gap)}): ${why}`;
  return `changes the gap of ${gap.label} by ${percentOf(change(gap))} only (${numbers(gap)})`;
}

/** How the protected observable fares; never left out. */
function protectedWords(gap: GapChange): { readonly kept: boolean; readonly words: string } {
  if (Math.abs(gap.before) < NO_GAP) {
    const kept = Math.abs(gap.after) < NO_GAP;
    return { kept, words: `${gap.label}, which has no gap here to lose, goes from ${numbers(gap)}` };
  }
  const kept = Math.abs(change(gap)) < UNCHANGED;
  const by = `${percentOf(change(gap))} (${numbers(gap)})`;
  if (kept) return { kept, words: `that of ${gap.label}, which was to stay, changes by ${by}` };
  return {
    kept,
    words: `that of ${gap.label}, which was to stay, changes by ${by}: what the two share is gone, not the bias alone`,
  };
}

/**
 * What an edit did, in one sentence that names both observables, and never calls the fall of the bias alone a success. Thresholds: a
 * gap below 0.05 logits is none; less than a tenth is no effect to speak of; 0.05 nats of control loss is a price.
 */
export function debiasVerdict({ what, bias, protected: other, control }: DebiasFacts): DebiasVerdict {
  const begin = what[0].toUpperCase() + what.slice(1);
  const headlineOf = (kind: DebiasVerdict['kind']) =>
    `${begin} ${OUTCOMES[kind]}: ${arrow(bias)}; ${arrow(other)}, which was to stay`;
  if (Math.abs(bias.before) < NO_GAP) {
    const sentence = `There is no gap of ${bias.label} to remove (${signed(bias.before)}).`;
    return { kind: 'no gap', sentence, headline: headlineOf('no gap') };
  }
  const { kept, words } = protectedWords(other);
  const price = control === null ? null : control.after - control.before;
  const cost =
    price === null
      ? 'what it costs elsewhere is not measured'
      : `the loss of control texts changes by ${signed(price)} nats`;
  const tell = (kind: DebiasVerdict['kind'], start: string, end: string) => ({
    kind,
    sentence: `${begin} ${start}; ${words}; ${end}.`,
    headline: headlineOf(kind),
  });
  if (Math.abs(change(bias)) < UNCHANGED) {
    return tell('no effect', hardlyWords(bias), cost);
  }
  if (change(bias) > 0) return tell('bias grows', `widens the gap of ${bias.label} (${numbers(bias)})`, cost);
  if (change(bias) < -1 - TURNED) return tell('turned round', biasWords(bias), cost);
  if (!kept) return tell('not selective', biasWords(bias), cost);
  if (price === null) return tell('cost unknown', biasWords(bias), cost);
  if (price > COSTLY) return tell('costly', biasWords(bias), cost);
  return tell('selective here', biasWords(bias), `${cost}. Selective on these prompts; other wordings are not tested`);
}
