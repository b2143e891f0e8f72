import type { ExperimentFile } from '../../core/tasks/experiment/experimentTypes.ts';
import { pathProblems } from '../../core/tasks/frontMatterPropagation.ts';
import type { NamedObservables } from '../../core/tasks/namedObservables.ts';
import { nearestWord } from '../../core/tasks/nearestWord.ts';
import type { ModelDirectory } from '../modelDirectory.ts';
import type { FileProblem } from '../promptLanguage/promptRequests.ts';
import { termProblems, type WrittenObservable } from '../promptLanguage/termProblems.ts';

/** Names that are neither in the file nor in the settings. */
function unknownNames(file: ExperimentFile, { specs, mistakes }: NamedObservables): FileProblem[] {
  const own = file.observables.map(({ name }) => name);
  const known = [...own, ...Object.keys(specs)];
  return file.observableRefs.flatMap(({ name, start, end }): FileProblem[] => {
    if (name === null || own.includes(name)) return [];
    const at = { start, end, severity: 'error', code: 'unknown-observable' } as const;
    if (Object.hasOwn(mistakes, name)) return [{ ...at, message: `${mistakes[name]} It is written in the settings.` }];
    const near = nearestWord(name, known);
    const hint = near === null ? ` Name it under observables:, as ${name}: { " she": 1, " he": -1 }.` : '';
    const message = `There is no observable "${name}", here or in the settings.${hint}`;
    if (near === null) return [{ ...at, message }];
    const fix = { title: `Use ${near}`, start, end, newText: near };
    return [{ ...at, message: `${message} Did you mean ${near}?`, fix }];
  });
}

/** Every observable whose tokens can be checked: the file's own, those in steps, and named ones of the settings. */
function writtenIn(file: ExperimentFile): WrittenObservable[] {
  const named = file.observableRefs.flatMap(({ name, start, end }): WrittenObservable[] => {
    const shared = file.observables.find((own) => own.shared && own.name === name);
    if (name === null || !shared) return [];
    const words = Object.keys(shared.spec).map((value) => ({ value, start, end }));
    return [{ words, word: name, named: true }];
  });
  return [...file.observables.filter(({ shared }) => !shared), ...file.observableRefs, ...named];
}

/** Layers and heads that the model does not have. */
async function wrongPaths(
  { pathRefs }: ExperimentFile,
  model: string,
  models: Pick<ModelDirectory, 'info'>,
): Promise<FileProblem[]> {
  if (pathRefs.length === 0) return [];
  const sizes = await models.info(model);
  return pathRefs.flatMap((path) => pathProblems(path, { sizes }));
}

/**
 * What is wrong with the observables of an experiment in a model's tokens, and with paths in its layers and heads.
 * @param model null where none can be asked: names are checked all the same
 */
export async function observableProblems(
  file: ExperimentFile,
  model: string | null,
  named: NamedObservables,
  models: Pick<ModelDirectory, 'info' | 'checkTerms'>,
): Promise<FileProblem[]> {
  const problems = unknownNames(file, named);
  if (model === null) return problems;
  const written = writtenIn(file);
  const paths = await wrongPaths(file, model, models);
  const texts = written.flatMap(({ words }) => words.map(({ value }) => value));
  const checks = await models.checkTerms(model, texts);
  return [...problems, ...paths, ...written.flatMap((observable) => termProblems(observable, checks, model))];
}
