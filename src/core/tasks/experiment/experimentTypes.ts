import type { ObservableSpec } from '../../../shared/engineProtocol.ts';
import type { MetricSpec } from '../../../shared/metric.ts';
import type { ParamsSchema } from '../../experiments/stepKind.ts';
import type { Located, LocatedPath } from '../frontMatter.ts';

/** What a file may say of one kind of step: its name and its parameters, without the code that runs it. */
export interface StepVocabulary {
  readonly name: string;
  readonly params: ParamsSchema;
}

/** Why a stretch of an experiment file is wrong, as a word a program can switch on. */
export type ExperimentProblemCode =
  | 'yaml'
  | 'file-too-long'
  | 'unknown-key'
  | 'missing-key'
  | 'wrong-type'
  | 'unknown-kind'
  | 'unknown-metric'
  | 'step-name'
  | 'bad-parameter'
  | 'bad-expectation'
  | 'bad-observable'
  | 'bad-path'
  | 'unknown-step'
  | 'unknown-model'
  | 'more-problems';

/** What is wrong with a stretch of an experiment file. Offsets are UTF-16 code units of the document. */
export interface ExperimentProblem {
  readonly start: number;
  readonly end: number;
  /** `error`: the experiment is not run. `warning`: it is, but something is ignored. */
  readonly severity: 'error' | 'warning';
  readonly code: ExperimentProblemCode;
  /** Says what is wrong and what to write instead. */
  readonly message: string;
  readonly fix?: { readonly title: string; readonly start: number; readonly end: number; readonly newText: string };
}

/** Rows that an experiment runs on. */
export interface ExperimentData {
  /** As written: relative to the experiment's folder, or absolute. */
  readonly file: string;
  /** The first so many; absent: all. */
  readonly rows?: number;
}

/** One step, at the place where it is written. */
export interface ExperimentStep {
  /** Unique without regard to case; names the step's files. */
  readonly name: string;
  /** Name of a step kind. */
  readonly run: string;
  /** With the kind's defaults filled in, and the experiment's metric where the kind has one. */
  readonly params: Readonly<Record<string, unknown>>;
  readonly start: number;
  readonly end: number;
}

/** A number that a step should give. */
export interface Expectation {
  readonly step: string;
  /** Name in the step's values. */
  readonly value: string;
  /** Null: no bound on this side. */
  readonly low: number | null;
  readonly high: number | null;
  /** Where the range comes from; empty when nobody said. */
  readonly source: string;
  /** Only for this model; others are not held to it. */
  readonly model?: string;
  /** Why a difference is a remark and no failure. */
  readonly note?: string;
  readonly start: number;
  readonly end: number;
}

/** An observable that steps refer to by its name, where the name is written. */
export interface NamedObservable {
  readonly name: string;
  readonly spec: ObservableSpec;
  /** Its tokens at their places. */
  readonly words: readonly WeightedWord[];
  readonly start: number;
  readonly end: number;
  /** It is not written in the file: the settings have it, or whoever runs the file. */
  readonly shared?: boolean;
}

/** A token of an observable and its weight, where they are written. */
export interface WeightedWord extends Located<string> {
  readonly weight: number;
}

/** An observable in a step's parameters: a name, or tokens and weights. */
export interface ObservableRef {
  readonly name: string | null;
  /** Empty where a name is written. */
  readonly words: readonly WeightedWord[];
  readonly start: number;
  readonly end: number;
}

/** A file `*.experiment.yaml`. What is absent or wrong is undefined, and a problem says so. */
export interface ExperimentFile {
  readonly model?: Located<string>;
  readonly data?: Located<ExperimentData>;
  readonly seed: number;
  readonly metric: MetricSpec;
  readonly observables: readonly NamedObservable[];
  /** Where the steps' parameters name observables. */
  readonly observableRefs: readonly ObservableRef[];
  /** Paths in the steps' parameters whose form is right. */
  readonly pathRefs: readonly LocatedPath[];
  readonly steps: readonly ExperimentStep[];
  readonly expect: readonly Expectation[];
  readonly problems: readonly ExperimentProblem[];
}
