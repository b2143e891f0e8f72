import type { ExperimentFile } from '../../core/tasks/experiment/experimentTypes.ts';
import { pathProblems } from '../../core/tasks/frontMatterPropagation.ts';
import type { NamedObservables } from '../../core/tasks/namedObservables.ts';
import { nearestWord } from '../../core/tasks/nearestWord.ts';
import type { TermCheck } from '../../shared/engineProtocol.ts';
import type { ModelInfo } from '../../shared/modelInfo.ts';
import type { EnginePort } from '../engineClient.ts';
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

/** Checks the observables of experiments in a model's tokens, and paths in its layers and heads; each is asked for once. */
export class ExperimentTerms {
  readonly #known = new Map<string, Map<string, TermCheck>>();
  readonly #sizes = new Map<string, Promise<ModelInfo>>();

  constructor(private readonly engine: EnginePort) {}

  /** @param model null where none can be asked: names are checked all the same */
  async problemsOf(file: ExperimentFile, model: string | null, named: NamedObservables): Promise<FileProblem[]> {
    const problems = unknownNames(file, named);
    if (model === null) return problems;
    const written = writtenIn(file);
    const paths = await this.#pathProblems(file, model);
    const checks = await this.#checks(model, [...new Set(written.flatMap(({ words }) => words.map((w) => w.value)))]);
    return [...problems, ...paths, ...written.flatMap((observable) => termProblems(observable, checks, model))];
  }

  /** Models may have changed. */
  clear(): void {
    this.#known.clear();
    this.#sizes.clear();
  }

  /** Layers and heads that the model does not have. */
  async #pathProblems({ pathRefs }: ExperimentFile, model: string): Promise<FileProblem[]> {
    if (pathRefs.length === 0) return [];
    const sizes = this.#sizes.get(model) ?? this.engine.request('models.info', { model });
    this.#sizes.set(model, sizes);
    sizes.catch(() => this.#sizes.delete(model));
    const info = await sizes;
    return pathRefs.flatMap((path) => pathProblems(path, { sizes: info }));
  }

  async #checks(model: string, texts: readonly string[]): Promise<ReadonlyMap<string, TermCheck>> {
    const known = this.#known.get(model) ?? new Map<string, TermCheck>();
    this.#known.set(model, known);
    const terms = texts.filter((text) => !known.has(text));
    if (terms.length === 0) return known;
    for (const check of await this.engine.request('checkTerms', { model, terms })) known.set(check.text, check);
    return known;
  }
}
