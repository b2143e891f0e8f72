import type { TraceRequest } from '../../shared/engineProtocol.ts';
import { MechanistError } from '../../shared/errors.ts';
import { count } from '../../shared/format.ts';
import type { PromptToken } from '../../shared/traceDocument.ts';
import { resolvePosition } from '../engine/runChecks.ts';
import type { OpenModel } from '../models/openModel.ts';

/** A request's prompt as the model will see it. */
export interface PromptContext {
  /** At most `nCtx` tokens. */
  readonly tokens: readonly PromptToken[];
  readonly ids: Int32Array;
  /** Null when the text is longer than the context and was not tokenized to its end. */
  readonly tokensInText: number | null;
  readonly position: number;
  readonly warnings: readonly string[];
}

/** Longer texts than this, in UTF-16 units, are tokenized only as far as the context reaches: the rest costs seconds. */
const COUNTED_TEXT = 100_000;

/**
 * Tokenizes a prompt and finds the position that is asked about. A prompt longer than the context is cut after its
 * first `nCtx` tokens, with a warning.
 * @throws MechanistError `prompt-empty`, `bad-input` (position outside the prompt)
 */
export function readPrompt(model: OpenModel, request: Pick<TraceRequest, 'prompt' | 'position'>): PromptContext {
  const { nCtx } = model.config;
  const counted = request.prompt.length <= COUNTED_TEXT;
  const all = model.tokenizer.encode(request.prompt, counted ? undefined : nCtx + 1);
  if (request.prompt.length === 0 || all.length === 0) {
    throw new MechanistError('prompt-empty', 'The prompt is empty. Write some text to trace.');
  }
  const cut = all.length > nCtx;
  const tokens = cut ? all.slice(0, nCtx) : all;
  const length = counted ? count(all.length) : `more than ${count(nCtx)}`;
  const warnings = cut
    ? [`The prompt has ${length} tokens; only the first ${count(nCtx)} fit the model's context and are traced.`]
    : [];
  return {
    tokens,
    ids: Int32Array.from(tokens, (token) => token.id),
    tokensInText: cut && !counted ? null : all.length,
    position: resolvePosition(request.position ?? -1, tokens.length),
    warnings,
  };
}
