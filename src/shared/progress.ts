/** How far a long job is. `total` is constant, `done` never falls, the last report has `done === total`. */
export interface Progress {
  readonly done: number;
  readonly total: number;
  /** What is being done now, in words: "L12 of 30", "SmolLM2-135M-Instruct.Q4_1.gguf". */
  readonly label: string;
}

export type OnProgress = (progress: Progress) => void;
