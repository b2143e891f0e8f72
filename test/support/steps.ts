import { createHash } from 'node:crypto';
import type { AnalysisEngine } from '../../src/core/analyses/analysisEngine.ts';
import { noSources } from '../../src/core/experiments/sourcesOfStep.ts';
import type { CellResult, StepContext, StepKind, StepResult } from '../../src/core/experiments/stepKind.ts';
import type { MatrixPicture, Picture } from '../../src/shared/figures.ts';
import { seededRandom } from '../../src/shared/statistics.ts';
import type { TaskAnswer, TaskItem, TaskSet } from '../../src/shared/taskSet.ts';

/** The largest foil, as in the acronym study. */
export const LOGIT_DIFFERENCE = { kind: 'logit-difference', foil: 'max' } as const;

/** What a step works with, with plenty of memory. */
export function stepContext(engine: AnalysisEngine, task: TaskSet, more: Partial<StepContext> = {}): StepContext {
  const { model, runner, cache } = engine;
  const circuit = (name: string) => {
    throw new Error(`no circuit ${name}`);
  };
  const sources = noSources(model.tokenizer);
  return {
    ...{ model, runner, cache, version: 'test', task, seed: 0, memoryBytes: 1 << 30, circuit },
    ...sources,
    ...more,
  };
}

/** Keeps the value made last, as a running experiment does. */
export function keepRecent(): NonNullable<StepContext['recent']> {
  let last: { readonly key: string; readonly value: Promise<unknown> } | null = null;
  return async <T>(key: string, make: () => Promise<T>) => {
    if (last?.key !== key) last = { key, value: make() };
    return (await last.value) as T;
  };
}

/** Runs every cell of a step, through JSON as a result file would keep it, and puts it together. */
export async function runStep<P>(
  kind: StepKind<P>,
  context: StepContext,
  params: P,
): Promise<StepResult & { readonly cells: ReadonlyMap<string, CellResult> }> {
  const cells = new Map<string, CellResult>();
  for (const cell of kind.cells(context, params)) {
    const result = await kind.run(context, params, cell);
    cells.set(cell.id, JSON.parse(JSON.stringify(result)) as CellResult);
  }
  return { ...kind.assemble(context, params, cells), cells };
}

export function matrixOf(pictures: readonly Picture[], id: string): MatrixPicture {
  const found = pictures.find((picture) => picture.id === id);
  if (found?.type === 'matrix') return found;
  throw new Error(`no matrix ${id} among ${pictures.map((picture) => picture.id).join(', ')}`);
}

export function taskSetOf(items: readonly TaskItem[], roles: readonly string[], name = 'test'): TaskSet {
  return {
    name,
    items,
    roles,
    answerNames: [...new Set(items.flatMap(({ answers }) => answers.map((answer) => answer.name)))],
    corruptions: [...new Set(items.flatMap(({ corrupted }) => Object.keys(corrupted)))],
    seed: 0,
    hash: createHash('sha256').update(JSON.stringify(items)).digest('hex'),
    refused: 0,
    problems: [],
  };
}

/** Places of the acronym task: 0 BOS, 1 `The`, 2–7 words, 8 `(`, 9 and 10 letters. */
export const ACRONYM_ROLES = ['BOS', 'The', 'C1', 'T1', 'C2', 'T2', 'C3', 'T3', 'P', 'A1', 'A2'];
const LETTERS = 8;

/**
 * The acronym task in a vocabulary of 53 without meaning: 0 BOS, 1 `The`, 2 `(`, from 3 on eight spaced capitals, from 11 on
 * eight bare ones, from 19 on tails. Corruptions `cur:L1` … `let:L3` as in methods §4, with letters that differ in every row.
 */
export function acronymTask(rows: number, seed = 3): TaskSet {
  const random = seededRandom(seed);
  const other = (letter: number) => (letter + 1 + random.below(LETTERS - 1)) % LETTERS;
  const spaced = (letter: number) => 3 + letter;
  const bare = (letter: number) => 3 + LETTERS + letter;
  const idsOf = (letters: readonly number[], tails: readonly number[], answers: readonly number[]) => [
    ...[0, 1],
    ...letters.flatMap((letter, i) => [spaced(letter), 19 + tails[i]]),
    ...[2, bare(answers[0]), bare(answers[1])],
  ];
  const items = Array.from({ length: rows }, (_, row): TaskItem => {
    const letters = [0, 1, 2].map(() => random.below(LETTERS));
    const tails = [0, 1, 2].map(() => random.below(20));
    const ids = idsOf(letters, tails, letters);
    const [words, first] = [letters.map(other), letters.map(other)];
    const newTails = tails.map(() => random.below(20));
    const foreign = idsOf(words, newTails, first);
    const taking = (changed: (position: number) => boolean) => ids.map((id, at) => (changed(at) ? foreign[at] : id));
    const corrupted = Object.fromEntries(
      [1, 2, 3].flatMap((i) => [
        [`cur:L${i}`, taking((at) => at === 2 * i || at === 2 * i + 1)],
        [`prev:L${i}`, taking((at) => at < 2 * i)],
        [`let:L${i}`, taking((at) => at >= 8 && at <= 7 + i)],
      ]),
    );
    const answers = letters.map((letter, i): TaskAnswer => {
      const foils = Array.from({ length: LETTERS }, (__, l) => l).filter((l) => l !== letter);
      return { name: `L${i + 1}`, position: 8 + i, answer: bare(letter), foils: foils.map(bare) };
    });
    return {
      ...{ id: `${row + 1}`, text: ids.map((id) => ` t${id}`).join(''), ids, tokens: ids.map((id) => ` t${id}`) },
      roles: Object.fromEntries(ACRONYM_ROLES.map((role, at) => [role, [at]])),
      answers,
      tags: [],
      corrupted: { ...corrupted, all: foreign },
    };
  });
  return taskSetOf(items, ACRONYM_ROLES);
}

/** Rows of two lengths whose roles stand at different places, as in indirect-object prompts; some lack a role. */
export function movingTask(rows: number, seed = 5): TaskSet {
  const random = seededRandom(seed);
  const items = Array.from({ length: rows }, (_, row): TaskItem => {
    const length = row % 3 === 0 ? 9 : 8;
    const ids = Array.from({ length }, () => random.below(50));
    const at = row % 2 === 0 ? 2 : 4;
    const roles = { S: [at, 6], IO: [row % 2 === 0 ? 4 : 2], ...(row % 4 !== 1 && { X: [5] }) };
    const corrupted = ids.map((id, position) => (position === at || position === 6 ? (id + 7) % 50 : id));
    return {
      ...{ id: `${row + 1}`, text: '', ids, tokens: ids.map((id) => ` t${id}`) },
      roles,
      answers: [{ name: 'answer', position: length - 1, answer: random.below(25), foils: [25 + random.below(25)] }],
      tags: [],
      corrupted: { abc: corrupted },
    };
  });
  return taskSetOf(items, ['S', 'IO', 'X']);
}
