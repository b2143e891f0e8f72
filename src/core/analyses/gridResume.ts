import { MechanistError } from '../../shared/errors.ts';
import type { GridDocument, GridRequest } from '../../shared/gridDocument.ts';

/** Refuses a document that was made by another question. */
export function checkResume(resume: GridDocument, fresh: GridDocument): void {
  const differing = (
    [
      ['another model', resume.provenance.modelHash === fresh.provenance.modelHash],
      ['other prompts', JSON.stringify(resume.items) === JSON.stringify(fresh.items)],
      ['another question', questionOf(resume.request) === questionOf(fresh.request)],
    ] as const
  ).find(([, same]) => !same);
  if (differing === undefined) return;
  throw new MechanistError(
    'bad-input',
    `The document to resume was made with ${differing[0]}. Run the sweep again from the start.`,
  );
}

/** A request without what does not change its numbers. */
export function questionOf(request: GridRequest): string {
  const { model: _model, memoryBytes: _memory, prompts, ...question } = request;
  const entries = Object.entries({ ...question, prompts }).filter(([, value]) => value !== undefined);
  return JSON.stringify(Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1))));
}
