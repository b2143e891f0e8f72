import { pathProblems } from '../../core/tasks/frontMatterPropagation.ts';
import type { PromptFile, PromptSection } from '../../core/tasks/promptFile.ts';
import type { PromptProblem } from '../../core/tasks/promptProblem.ts';
import type { TraceRequest } from '../../shared/engineProtocol.ts';
import type { MechanistError } from '../../shared/errors.ts';
import { count } from '../../shared/format.ts';
import type { ModelInfo } from '../../shared/modelInfo.ts';
import type { TraceDocument } from '../../shared/traceDocument.ts';
import type { Absent } from '../modelDirectory.ts';
import { describeAbsent } from '../modelDirectory.ts';
import type { PromptSettings } from '../settings.ts';

/** A problem of a prompt file: one the parser sees, or one only the engine can see. */
export type FileProblem = Omit<PromptProblem, 'code'> & { readonly code: string };

/** How far a prompt has come. */
export type PromptState =
  | { readonly kind: 'pending' }
  /** Something in the front matter has to be put right first; the diagnostics say what. */
  | { readonly kind: 'blocked' }
  | { readonly kind: 'noModel' }
  | { readonly kind: 'traced'; readonly document: TraceDocument }
  | { readonly kind: 'failed'; readonly error: MechanistError };

/** The question that a prompt of a file asks. */
export function requestFor(
  file: PromptFile,
  prompt: PromptSection,
  ref: string,
  settings: PromptSettings,
): TraceRequest {
  const { frontMatter } = file;
  const method = frontMatter?.method?.value ?? settings.method;
  return {
    model: ref,
    prompt: prompt.text,
    ...(frontMatter?.observable && { observable: frontMatter.observable.value }),
    ...(frontMatter?.position && { position: frontMatter.position.value }),
    method,
    ...(method === 'observable-propagation' && propagationOf(file)),
  };
}

/** What the front matter says of observable propagation. */
export function propagationOf({ frontMatter }: PromptFile): Pick<TraceRequest, 'path' | 'norm' | 'view'> {
  const { node, norm, view } = frontMatter ?? {};
  return { ...(node && { path: node.value }), ...(norm && { norm: norm.value }), ...(view && { view: view.value }) };
}

/**
 * What only a model can tell of the path of observable propagation: layers and heads that it does not have. Keys of the method that
 * another one does not read are said, too.
 */
export function propagationProblems(file: PromptFile, settings: PromptSettings, info: ModelInfo): FileProblem[] {
  const { node, norm, view, method } = file.frontMatter ?? {};
  const inForce = method?.value ?? settings.method;
  if (inForce === 'observable-propagation') return node ? pathProblems(node, { sizes: info }) : [];
  const keys = { node, norm, view };
  return Object.entries(keys).flatMap(([key, at]): FileProblem[] => {
    if (!at) return [];
    const { start, end } = at;
    const message = `${key} is read by the method observable-propagation; here it is ${inForce}.`;
    const fix = method && {
      title: 'Use observable-propagation',
      ...{ start: method.start, end: method.end, newText: 'observable-propagation' },
    };
    return [{ start, end, severity: 'warning', code: 'not-read', message, ...(fix && { fix }) }];
  });
}

/** At the name of a model that nobody knows or that has gone. A model that can be downloaded is no mistake. */
export function modelProblem(file: PromptFile, absent: Absent): FileProblem | null {
  const at = file.frontMatter?.model;
  if (!at || absent.why === 'remote') return null;
  const message = `${describeAbsent(absent)}. Mechanist: Choose Model lists the models there are.`;
  const problem: FileProblem = { start: at.start, end: at.end, severity: 'error', code: 'model-not-found', message };
  if (absent.nearest === null) return problem;
  const fix = { title: `Use ${absent.nearest}`, start: at.start, end: at.end, newText: absent.nearest };
  return { ...problem, fix };
}

/** Where a prompt stopped being traced because it is longer than the model's context. */
function tooLongProblem(prompt: PromptSection, document: TraceDocument): FileProblem | null {
  if (document.tokensInText === document.tokens.length) return null;
  const last = document.tokens[document.tokens.length - 1];
  const start = prompt.toOffset(last?.end ?? 0);
  const total = document.tokensInText === null ? '' : ` of ${count(document.tokensInText)}`;
  const message =
    `The model's context ends here, after ${count(document.tokens.length)}${total} tokens. ` +
    'What follows is not traced.';
  return { start, end: Math.max(start + 1, prompt.end), severity: 'warning', code: 'prompt-too-long', message };
}

/** What the engine refused about a prompt: at the word of the front matter that is to blame, else at the prompt's first line. */
function refusalProblem(file: PromptFile, prompt: PromptSection, error: MechanistError, method: string): FileProblem {
  const { code, data } = error;
  const { position, node } = file.frontMatter ?? {};
  const path = method === 'observable-propagation' ? node : undefined;
  const isPosition = position !== undefined && 'position' in data;
  // The engine counts from 0, the file from 1.
  const message = isPosition ? `This prompt has ${data.length} tokens: 1 is the first, −1 the last.` : error.message;
  // The path has been held against the model; what is left are tokens that this prompt does not have.
  const blamed = isPosition ? position : (path ?? position);
  const lineEnd = prompt.text.indexOf('\n');
  const end = prompt.toOffset(lineEnd < 0 ? prompt.text.length : lineEnd);
  const at = (code === 'bad-input' && blamed) || { start: prompt.start, end: Math.max(prompt.start + 1, end) };
  return { start: at.start, end: at.end, severity: 'error', code, message };
}

/** What is wrong with single prompts, as far as they have come. An engine that stopped is nobody's mistake. */
export function promptProblems(
  file: PromptFile,
  states: readonly PromptState[],
  settings: PromptSettings,
): FileProblem[] {
  return file.prompts.flatMap((prompt, i) => {
    const state = states[i];
    if (state?.kind === 'traced') return tooLongProblem(prompt, state.document) ?? [];
    if (state?.kind !== 'failed') return [];
    const { code } = state.error;
    const method = file.frontMatter?.method?.value ?? settings.method;
    return code === 'engine-stopped' || code === 'cancelled' ? [] : refusalProblem(file, prompt, state.error, method);
  });
}
