import type { AblateRequest, GridDocument, PatchRequest, PathPatchRequest } from './gridDocument.ts';
import type { GridPlace } from './gridPanelProtocol.ts';
import type { MetricSpec } from './metric.ts';
import type { SteerDirection } from './steerDocument.ts';
import type { AttributionMethod } from './traceDocument.ts';

/**
 * Names that package.json declares and the code uses: typed once, here. A tidy test compares the two.
 */

export const promptLanguageId = 'mechanist-prompt';
export const tracePanelType = 'mechanist.tracePanel';
export const gridPanelType = 'mechanist.gridPanel';
export const steerPanelType = 'mechanist.steerPanel';
/** The editor of saved results, `*.mechanist.json`. */
export const resultEditorType = 'mechanist.result';
/** The editor of circuits, `*.circuit.json`. */
export const circuitEditorType = 'mechanist.circuit';
/** The editor that shows datasets (`*.jsonl`) as tokens. */
export const datasetEditorType = 'mechanist.dataset';

/** Where a command acts: a prompt of a file, and perhaps one token of it. Sent by CodeLens, hovers and tests. */
export interface PromptTarget {
  /** Document, as `vscode.Uri.toString()`. */
  readonly uri: string;
  /** 0-based prompt of the file. */
  readonly prompt: number;
  /** 0-based token of the prompt. */
  readonly token?: number;
}

/** What a sweep is started with. What is left out is asked. */
export interface SweepTarget extends PromptTarget {
  /** Every prompt of the file, or the one named by `prompt`. */
  readonly prompts?: 'all' | 'one';
  readonly method?: GridDocument['method'];
  /** `usual`: a logit difference where the observable has foils, else the log-probability. */
  readonly metric?: MetricSpec | 'usual';
  /** Of several tokens with a positive weight, the one that is the answer. */
  readonly answer?: string;
}

export interface AblateTarget extends SweepTarget {
  readonly sites?: AblateRequest['sites'];
  readonly mode?: AblateRequest['mode'];
  readonly layer?: number;
  /** Heads that are outlined in the result, the first one selected: `row` is the layer. */
  readonly heads?: readonly GridPlace[];
}

export interface PatchTarget extends SweepTarget {
  readonly site?: PatchRequest['site'];
  readonly byPosition?: boolean;
  /** Rows of a grid of heads by position. */
  readonly heads?: PatchRequest['heads'];
  readonly direction?: 'denoising' | 'noising';
  /** The corrupted prompt: what the front matter says, or another prompt of the file (0-based). */
  readonly corrupted?: 'front matter' | number;
}

export interface PathPatchTarget extends SweepTarget {
  readonly receivers?: PathPatchRequest['receivers'];
  readonly mlps?: PathPatchRequest['mlps'];
  readonly direction?: 'denoising' | 'noising';
  readonly corrupted?: 'front matter' | number;
}

/** What is done with an experiment. Sent by CodeLens and tests. */
export interface ExperimentTarget {
  /** Document, as `vscode.Uri.toString()`. */
  readonly uri: string;
  /** Name of one step; absent: all. */
  readonly step?: string;
  /** Default `run`: what is missing. `again`: everything, also what is done. */
  readonly action?: 'run' | 'again' | 'cancel' | 'open' | 'openEvaluation' | 'openCircuit';
}

/** What a steering is started with. What is left out is asked. */
export interface SteerTarget extends PromptTarget {
  readonly answer?: string;
  readonly direction?: SteerDirection;
  /** Name of a hook point. */
  readonly hook?: string;
  /** 0-based, negative from the end; `all`: every position. */
  readonly positions?: readonly number[] | 'all';
  readonly factors?: readonly number[];
}

/** What a study of an observable is started with. What is left out is asked. */
export interface StudyTarget extends PromptTarget {
  /** Names of the analyses. */
  readonly analyses?: readonly string[];
  /** Of the files: `NAME.jsonl`, `NAME.experiment.yaml`. */
  readonly name?: string;
}

/** Command id → what it is given; undefined where it acts on the active editor when called from the palette. */
export interface Commands {
  'mechanist.tracePrompt': PromptTarget | undefined;
  'mechanist.ablate': AblateTarget | undefined;
  'mechanist.patch': PatchTarget | undefined;
  'mechanist.patchPaths': PathPatchTarget | undefined;
  'mechanist.runExperiment': ExperimentTarget | undefined;
  'mechanist.steer': SteerTarget | undefined;
  'mechanist.studyObservable': StudyTarget | undefined;
  'mechanist.changeObservable': PromptTarget | undefined;
  'mechanist.changeMethod': PromptTarget | undefined;
  'mechanist.addModel': undefined;
  'mechanist.chooseModel': PromptTarget | undefined;
  /** `id` of a catalogue entry that is named by a prompt file and not on this machine. */
  'mechanist.downloadModel': { readonly id: string } | undefined;
  'mechanist.copyTrace': PromptTarget | undefined;
  'mechanist.openTraceAtToken': PromptTarget;
  'mechanist.showLog': undefined;
  'mechanist.restartEngine': undefined;
}

export type CommandId = keyof Commands;

/** Title of each command, without the category "Mechanist". */
export const commandTitles: Readonly<Record<CommandId, string>> = {
  'mechanist.tracePrompt': 'Trace Prompt',
  'mechanist.ablate': 'Ablate',
  'mechanist.patch': 'Patch Activations',
  'mechanist.patchPaths': 'Patch Paths',
  'mechanist.runExperiment': 'Run Experiment',
  'mechanist.steer': 'Steer',
  'mechanist.studyObservable': 'Study Observable',
  'mechanist.changeObservable': 'Change Observable',
  'mechanist.changeMethod': 'Change Method',
  'mechanist.addModel': 'Add Model',
  'mechanist.chooseModel': 'Choose Model',
  'mechanist.downloadModel': 'Download Model',
  'mechanist.copyTrace': 'Copy Trace as JSON',
  'mechanist.openTraceAtToken': 'Open Trace at This Token',
  'mechanist.showLog': 'Show Log',
  'mechanist.restartEngine': 'Restart Engine',
};

/** Setting (without the prefix `mechanist.`) → its default. */
export const settingDefaults = {
  model: 'smollm2-135m',
  fallbackModel: 'small-world',
  method: 'direct' as AttributionMethod,
  'tint.enabled': true,
  'engine.threads': 0,
  'engine.activationCacheMB': 512,
  cacheFolder: '',
  updateDelayMs: 300,
  observables: {},
} as const satisfies Record<string, string | number | boolean | object>;

export type SettingId = keyof typeof settingDefaults;

/** Opacity of the five steps of a token's tint, weakest first: at .62 text still has a contrast of 5.2. */
export const tokenTintAlphas = [0.1, 0.22, 0.35, 0.48, 0.62] as const;

/** Ids of the colours of a token's tint, weakest first. */
export const tokenColors = {
  positive: tokenTintAlphas.map((_, i) => `mechanist.token.positive${i + 1}`),
  negative: tokenTintAlphas.map((_, i) => `mechanist.token.negative${i + 1}`),
} as const;
