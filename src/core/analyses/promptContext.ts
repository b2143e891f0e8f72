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
  readonly tokensInText: number;
  readonly position: number;
  readonly warnings: readonly string[];
}

/**
 * Tokenizes a prompt and finds the position that is asked about. A prompt longer than the context is cut after its
 * first `nCtx` tokens, with a warning.
 * @throws MechanistError `prompt-empty`, `bad-input` (position outside the prompt)
 */
export function readPrompt(model: OpenModel, request: Pick<TraceRequest, 'prompt' | 'position'>): PromptContext {
  const { nCtx } = model.config;
  const all = model.tokenizer.encode(request.prompt);
  if (request.prompt.length === 0 || all.length === 0) {
    throw new MechanistError('prompt-empty', 'The prompt is empty. Write some text to trace.');
  }
  const tokens = all.length > nCtx ? all.slice(0, nCtx) : all;
  const warnings =
    all.length > nCtx
      ? [`The prompt has ${count(all.length)} tokens; only the first ${count(nCtx)} fit the model's context.`]
      : [];
  return {
    tokens,
    ids: Int32Array.from(tokens, (token) => token.id),
    tokensInText: all.length,
    position: resolvePosition(request.position ?? -1, tokens.length),
    warnings,
  };
}
