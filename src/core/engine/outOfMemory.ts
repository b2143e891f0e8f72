import { MechanistError } from '../../shared/errors.ts';

/** What the runtime and JavaScript say when memory ends. */
const WORDS = /bad[_ ]alloc|out of memory|allocation failed|failed to allocate|invalid (array|typed array) length/i;

/** Whether something failed for want of memory: as the runtime says it, or as the session pool passes it on. */
export function isOutOfMemory(error: unknown): boolean {
  if (error instanceof MechanistError) return error.code === 'model-too-large';
  return WORDS.test(error instanceof Error ? error.message : String(error));
}
