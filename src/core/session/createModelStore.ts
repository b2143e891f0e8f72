import { ModelStore } from '../models/modelStore.ts';
import { pipCommands } from '../models/wheelSource.ts';

/** The hub, unless `HF_ENDPOINT` names a mirror. */
const HUB_URL = 'https://huggingface.co';
/** Longest time without a byte before a source is given up, in milliseconds. */
const STALL_MS = 30_000;

/** A store on the real network. Used by both composition roots. */
export function createModelStore(options: {
  readonly cacheDir: string;
  readonly bundledDir: string;
  readonly cwd: string;
  readonly hubUrl: string | undefined;
  readonly availableBytes: () => number;
}): ModelStore {
  const { hubUrl, ...rest } = options;
  return new ModelStore({
    ...rest,
    download: { fetch, hubUrl: (hubUrl || HUB_URL).replace(/\/+$/, ''), pip: pipCommands, stallMs: STALL_MS },
  });
}
