import type { CircuitRequests } from './circuitRequests.ts';
import type { DatasetRowView, DatasetSource, DatasetSummary, RowsQuestion } from './datasetView.ts';
import type { ExperimentOutcome } from './experimentRun.ts';
import type { NormMode } from './features.ts';
import type { GridDocument, GridRequest } from './gridDocument.ts';
import type { ModelInfo, ModelListing, VerifyReport } from './modelInfo.ts';
import type { SteerDocument, SteerRequest } from './steerDocument.ts';
import type { AttributionMethod, HeadDetail, LensTable, PropagationView, TraceDocument } from './traceDocument.ts';

/** Token text → weight, as a person writes it: `{" she": 1, " he": -1}`. */
export type ObservableSpec = Readonly<Record<string, number>>;

/** A question about one prompt. Equal questions hit the activation cache of the engine. */
export interface TraceRequest {
  /** Catalogue id, absolute folder, or absolute `.gguf` path. */
  readonly model: string;
  readonly prompt: string;
  /** Absent: first minus second most likely next token. */
  readonly observable?: ObservableSpec;
  /** 0-based; negative counts from the end; absent: last. */
  readonly position?: number;
  readonly method: AttributionMethod;
  /** `integrated-gradients`: points on the line; default 32. */
  readonly steps?: number;
  /** `observable-propagation`: `L21.H4@7 <= MLP 12`; absent: the head with the largest direct contribution. */
  readonly path?: string;
  /** `observable-propagation`: default `frozen`. */
  readonly norm?: NormMode;
  /** `observable-propagation`: default `score`. */
  readonly view?: PropagationView;
  /** How many next-token candidates to return; default 10. */
  readonly top?: number;
}

/** How one key of an observable tokenizes, for diagnostics at the word. */
export interface TermCheck {
  readonly text: string;
  /** Single tokens are usable; anything else is refused with the split shown. */
  readonly pieces: readonly { readonly id: number; readonly text: string }[];
  /** A spelling that is a single token (usually with a leading space), if there is one. */
  readonly suggestion: string | null;
  /** For a single token that begins with a letter: the same word after a space, where that is a token, too. */
  readonly spaced: string | null;
}

/** A token of a vocabulary, offered while an observable is written. */
export interface TokenCompletion {
  readonly id: number;
  readonly text: string;
}

/** Requests that the engine process answers. Host and CLI are the callers. */
export interface EngineRequests extends CircuitRequests {
  'models.list': { params: null; result: readonly ModelListing[] };
  /** Reads headers only. */
  'models.info': { params: { model: string }; result: ModelInfo };
  /** Downloads a catalogue entry; resumes a broken download; checks the sha256. Progress in bytes. */
  'models.pull': { params: { id: string }; result: ModelInfo };
  /** Validates a local folder or `.gguf` file and remembers it in the list. */
  'models.add': { params: { path: string }; result: ModelInfo };
  'models.verify': { params: { model: string }; result: VerifyReport };
  /** Opens the model (progress by layer) so that the next request is fast. */
  'models.load': { params: { model: string }; result: ModelInfo };
  /** Needs the tokenizer of a model only: no weights are read. */
  checkTerms: { params: { model: string; terms: readonly string[] }; result: readonly TermCheck[] };
  /** Tokens that begin with `prefix`, with and without a leading space, most frequent first. No weights are read. */
  completeTokens: {
    params: { model: string; prefix: string; limit: number };
    result: readonly TokenCompletion[];
  };
  /** Reads a dataset in a model's tokens and says what is wrong with it. No model is opened. */
  'dataset.check': { params: DatasetSource; result: DatasetSummary };
  /** Rows of a dataset that was checked; null when the engine no longer knows it: check it again. */
  'dataset.rows': { params: { key: string; question: RowsQuestion }; result: readonly DatasetRowView[] | null };
  trace: { params: TraceRequest; result: TraceDocument };
  lens: { params: { request: TraceRequest; positions: readonly number[] }; result: LensTable };
  head: {
    params: { request: TraceRequest; layer: number; head: number; source: number };
    result: HeadDetail;
  };
  /**
   * Runs a sweep. While it runs, `grid.started` and `grid.cells` (see `GridNotifications`) carry `token`; a cancel keeps
   * what they brought. `resume` is such a partial document: its cells are not run again.
   */
  grid: { params: { request: GridRequest; token: string; resume?: GridDocument }; result: GridDocument };
  /** Adds a direction inside the model, once for each factor. Progress by factor. */
  steer: { params: SteerRequest; result: SteerDocument };
  /**
   * Runs the steps of an experiment file, or goes on with them; results and finished cells are written beside it. While it
   * runs, `experiment.progress` and `experiment.step` (see `ExperimentNotifications`) carry `token`.
   */
  'experiment.run': {
    params: {
      /** Absolute. */
      path: string;
      /** As it is in an editor; absent: as it is on disk. */
      text?: string;
      /** Absent: all. */
      steps?: readonly string[];
      /** Forget the cells that are done. */
      fresh?: boolean;
      token: string;
      /** Observables of the settings, by name; those of the file go before them. */
      observables?: Readonly<Record<string, ObservableSpec>>;
    };
    result: ExperimentOutcome;
  };
}

export type EngineMethod = keyof EngineRequests;

/** Sent once by the engine process after start. */
export interface EngineHello {
  readonly version: string;
  readonly pid: number;
  readonly threads: number;
}

/** What the engine process is started with: one JSON argument. All paths are absolute. */
export interface EngineSettings {
  readonly version: string;
  /** Downloaded and prepared models; shared with the command line. Empty: where the command line has them. */
  readonly cacheDir: string;
  /** The `models` folder of the installation: `catalogue.json`, bundled models, `reference/`. */
  readonly bundledDir: string;
  /** Threads for inference; 0: as many as the machine has cores. */
  readonly threads: number;
  /** Limit of remembered activations, in bytes. */
  readonly activationCacheBytes: number;
  /** Hub or mirror; absent: `HF_ENDPOINT`, else https://huggingface.co. */
  readonly hubUrl?: string;
}
