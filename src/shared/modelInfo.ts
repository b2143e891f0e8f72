/** What is known of a model before any weight is read. */
export interface ModelInfo {
  /** What a person writes to name it: catalogue id, folder, or `.gguf` file. */
  readonly ref: string;
  /** `smollm2-135m Q4_1` */
  readonly label: string;
  readonly family: string;
  readonly nLayers: number;
  readonly nHeads: number;
  readonly nKeyValueHeads: number;
  readonly dModel: number;
  readonly dHead: number;
  readonly dMlp: number;
  readonly dVocab: number;
  readonly nCtx: number;
  readonly parameters: number;
  /** Type in which most weights are stored: `F32`, `BF16`, `Q4_1` … */
  readonly storedAs: string;
  readonly licence: string | null;
  /** sha256 over the weight file(s); null when not computed yet. */
  readonly hash: string | null;
  readonly memory: MemoryForecast;
}

export interface MemoryForecast {
  /** Peak of the engine process with this model and a prompt of 64 tokens, in bytes. */
  readonly neededBytes: number;
  readonly availableBytes: number;
  readonly fits: boolean;
}

/** One line of the model list: a catalogue entry or a model that was added by path. */
export interface ModelListing {
  readonly ref: string;
  readonly label: string;
  readonly family: string;
  readonly licence: string | null;
  readonly downloadBytes: number | null;
  /** `bundled`: in the extension. `ready`: in the cache or at its path. `remote`: can be pulled. `missing`: its path is gone. */
  readonly state: 'bundled' | 'ready' | 'remote' | 'missing';
  readonly note: string | null;
  /** Known for catalogue models whose sizes are stated, also before the download. */
  readonly memory: MemoryForecast | null;
}

/** Result of comparing the engine's logits with the stored reference logits of HF transformers (float32). */
export interface VerifyReport {
  readonly ref: string;
  readonly prompts: number;
  readonly maxAbsLogitDelta: number;
  readonly tolerance: number;
  readonly passed: boolean;
  /** Which library and version made the reference. */
  readonly reference: string;
}
