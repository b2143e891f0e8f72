import type { TraceDocument } from '../../shared/traceDocument.ts';
import type { PromptSession } from './promptSession.ts';

/** The trace of the first prompt of a file that has one. */
export function firstTrace(session: PromptSession): TraceDocument | null {
  for (let i = 0; i < session.file.prompts.length; i++) {
    const state = session.state(i);
    if (state.kind === 'traced') return state.document;
  }
  return null;
}
