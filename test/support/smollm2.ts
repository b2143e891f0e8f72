import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { cacheFolder } from '../../src/core/models/cacheFolder.ts';

const cache = cacheFolder(process.env, process.platform, homedir());

/** The default model in the cache, where `mechanist models pull smollm2-135m` puts it. */
export const smollm2File = join(cache, 'models', 'smollm2-135m', 'SmolLM2-135M-Instruct.Q4_1.gguf');

/** Whether tests on the real model can run on this machine. */
export const hasSmollm2 = existsSync(smollm2File);

/** Why they cannot, for the name of a skipped test. */
export const smollm2Reason = hasSmollm2
  ? ''
  : ' (skipped: SmolLM2 is not in the cache; mechanist models pull smollm2-135m)';
