import type { PromptFile, PromptSection } from '../../core/tasks/promptFile.ts';
import type { ModelInfo } from '../../shared/modelInfo.ts';
import type { ModelChoice, ModelDirectory } from '../modelDirectory.ts';
import type { PromptSettings } from '../settings.ts';
import { type FileProblem, modelProblem, propagationProblems } from './promptRequests.ts';
import { termProblems, termsOf } from './termProblems.ts';

/** Whether the prompts of a file can be traced. */
export interface PreparedFile {
  readonly kind: 'ready' | 'blocked' | 'noModel';
  /** Null when the file is too wrong to ask. */
  readonly choice: ModelChoice | null;
  readonly problems: readonly FileProblem[];
}

/** True when something has to be put right before a prompt of the file can be traced. */
export function hasErrors(file: PromptFile): boolean {
  return file.problems.some((problem) => problem.severity === 'error');
}

/** The model that a file asks for, by its front matter or the settings. */
export function namedModel(file: PromptFile, settings: PromptSettings): string {
  return file.frontMatter?.model?.value ?? settings.model;
}

/** Whether the next token of a prompt is a new word: not after a space, a quote or a bracket. */
function wantsSpace({ text }: PromptSection): boolean {
  return /[\p{L}\p{N},;:.]$/u.test(text);
}

interface Question {
  readonly file: PromptFile;
  readonly settings: PromptSettings;
  readonly folder: string | null;
}

/** What only a model can tell of a file: its tokens, layers and heads. No weights are needed. */
async function problemsFor(
  { file, settings }: Question,
  choice: ModelChoice & { readonly kind: 'use' },
  info: ModelInfo,
  models: ModelDirectory,
): Promise<FileProblem[]> {
  const model = choice.insteadOf ? `${choice.ref} (instead of ${choice.insteadOf.name})` : choice.ref;
  const { observable } = file.frontMatter ?? {};
  const known = await models.checkTerms(choice.ref, observable ? termsOf(observable) : []);
  const all = observable ? termProblems(observable, known, model, settings.observables.specs) : [];
  const terms = all.filter(({ code }) => code !== 'leading-space' || file.prompts.some(wantsSpace));
  return [...terms, ...propagationProblems(file, settings, info)];
}

/** A file that cannot be traced yet: what else is wrong with it, as far as that can be told. */
async function blockedProblems(question: Question, models: ModelDirectory): Promise<FileProblem[]> {
  const { file, settings, folder } = question;
  if (!file.frontMatter?.observable && !file.frontMatter?.node) return [];
  const choice = await models.choose(namedModel(file, settings), settings.fallbackModel, folder);
  if (choice.kind === 'absent') {
    const problem = modelProblem(file, choice.absent);
    return problem ? [problem] : [];
  }
  return await problemsFor(question, choice, await models.info(choice.ref), models);
}

/**
 * Chooses the model of a file, has it opened, and checks what only the engine can check.
 * @throws MechanistError of the engine.
 */
export async function prepareFile(question: Question, models: ModelDirectory): Promise<PreparedFile> {
  const { file, settings, folder } = question;
  if (hasErrors(file)) {
    const problems = await blockedProblems(question, models).catch(() => []);
    return { kind: 'blocked', choice: null, problems };
  }
  const choice = await models.choose(namedModel(file, settings), settings.fallbackModel, folder);
  if (choice.kind === 'absent') {
    const problem = modelProblem(file, choice.absent);
    return { kind: 'noModel', choice, problems: problem ? [problem] : [] };
  }
  if (file.prompts.length === 0) return { kind: 'ready', choice, problems: [] };
  const problems = await problemsFor(question, choice, await models.load(choice.ref), models);
  const blocked = problems.some(({ severity }) => severity === 'error');
  return { kind: blocked ? 'blocked' : 'ready', choice, problems };
}
