import type { CircuitEvaluation, CircuitFile } from '../../shared/circuit.ts';
import type { ObservableSpec } from '../../shared/engineProtocol.ts';
import type { Picture } from '../../shared/figures.ts';
import type { TaskSet } from '../../shared/taskSet.ts';
import type { AnalysisContext } from '../analyses/analysisContext.ts';
import type { ClimbContext } from '../engine/sweeps/climb.ts';
import type { ResolvedObservable } from '../tasks/observable.ts';

/** A file that a step reads: a corpus. */
export interface StepFile {
  /** Absolute. */
  readonly path: string;
  /** sha256 of its bytes, hexadecimal. */
  readonly hash: string;
}

/** What a step of an experiment works with. */
export interface StepContext extends AnalysisContext, ClimbContext {
  readonly task: TaskSet;
  /** The experiment's seed; a step derives its own streams from it. */
  readonly seed: number;
  /** Bytes of activations that may be held at once. */
  readonly memoryBytes: number;
  /** A circuit that the experiment names: a file beside it (`acronyms.circuit.json`), or the circuit an earlier step found. */
  readonly circuit: (name: string) => CircuitFile;
  /**
   * An observable in the model's tokens: by a name that the experiment gives it, or written out.
   * @throws MechanistError `bad-input` where there is none of that name, `token-splits`
   */
  readonly observable: (ref: string | ObservableSpec) => ResolvedObservable;
  /** A file that the kind's `files` names. @throws MechanistError `bad-input` when it cannot be read */
  readonly file: (name: string) => StepFile;
  /**
   * What neighbouring cells share, such as an unchanged run: the value made last, made anew where the key is another. It must
   * follow from the key, so that a cell gives the same whether it is there or not. Absent: made each time.
   */
  readonly recent?: <T>(key: string, make: () => Promise<T>) => Promise<T>;
  /** Of the cell that runs. Absent: it starts anew and leaves nothing on its way. */
  readonly checkpoint?: Checkpoint;
}

/** For a cell that is one long chain, such as a search whose decisions need each other: it goes on where it was left. */
export interface Checkpoint {
  /** As an earlier run of this very cell left it; null: there is none. */
  readonly left: CellResult | null;
  /**
   * Says that the cell is one piece further. `state` is asked at once, later or never, also after the cell has thrown; it
   * gives what the cell needs to go on from the last piece to the same result. JSON values only, as a cell's result.
   */
  readonly reached: (state: () => CellResult) => Promise<void>;
}

/** An independent piece of a step. Its id depends on the experiment, the data and the model only. */
export interface StepCell {
  /** `L3/cur:L2`: letters, digits and `.:/@+-`. */
  readonly id: string;
  /** About how many forward passes of the data it costs: for time left and for fair shares. */
  readonly passes: number;
}

/**
 * What a cell leaves: JSON values only, numbers as float64 (NaN and infinities are kept). `forwardPasses`, where it is a
 * number, is what the cell cost in forward passes of one prompt, as counted; else it is taken to be `passes` × rows.
 */
export type CellResult = Readonly<Record<string, unknown>>;

/** A vector that a step leaves beside its result. */
export interface StepVector {
  /** Name of the tensor, unique in its step. */
  readonly name: string;
  readonly values: readonly number[];
  /** Where it comes from, as JSON: all that is needed to make it again. */
  readonly about: Readonly<Record<string, unknown>>;
}

/** A step put together from its cells. */
export interface StepResult {
  readonly title: string;
  readonly subtitle: string;
  readonly pictures: readonly Picture[];
  /** Named numbers that `expect:` refers to: `L3.8.11`. */
  readonly values: Readonly<Record<string, number>>;
  readonly warnings: readonly string[];
  /** What stood in for what was ablated, in words; `none`. */
  readonly ablation: string;
  /** A circuit that the step found or evaluated. */
  readonly circuit?: CircuitFile;
  readonly evaluation?: CircuitEvaluation;
  /** Written as `STEP.safetensors` once the step is complete. */
  readonly vectors?: readonly StepVector[];
}

/** A JSON Schema of the step's parameters: completion, hover and diagnostics come from it. */
export interface ParamsSchema {
  readonly type: 'object';
  readonly description: string;
  readonly properties: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly required?: readonly string[];
  readonly additionalProperties: false;
}

/** An analysis as a step of an experiment. Params have passed the schema; what it cannot check, `cells` refuses. */
export interface StepKind<P = Readonly<Record<string, unknown>>> {
  /** `patch-residual`: the key under which a step names it. */
  readonly name: string;
  /** Raised whenever the same cell would leave something else: cells of an earlier version are run again. Absent: 1. */
  readonly version?: number;
  /** A property `metric` takes the experiment's metric where a step names none. */
  readonly params: ParamsSchema;
  /** Files that a step reads, as its parameters name them: relative to the experiment. What is in them belongs to its cells. */
  readonly files?: (params: P) => readonly string[];
  /**
   * The step's cells in a fixed order. No forward passes.
   * @throws MechanistError `bad-input` when the parameters do not fit the data or the model
   */
  readonly cells: (context: StepContext, params: P) => readonly StepCell[];
  /** Runs one cell; does not depend on which others ran before, or where. @throws MechanistError `cancelled` and others */
  readonly run: (context: StepContext, params: P, cell: StepCell) => Promise<CellResult>;
  /**
   * Puts finished cells together; some may be missing, which leaves null in the pictures. Cheap: no forward passes.
   * Equal cells give equal results, whoever ran them.
   * @param unfinished checkpoints of cells that are not finished: what can be shown of them meanwhile
   */
  readonly assemble: (
    context: StepContext,
    params: P,
    results: ReadonlyMap<string, CellResult>,
    unfinished?: ReadonlyMap<string, CellResult>,
  ) => StepResult;
}
