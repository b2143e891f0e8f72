import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { readDataset } from '../../core/tasks/dataset.ts';

/** Names that the steps of an experiment may use of its data. */
export interface DataNames {
  readonly corruptions: readonly string[];
  readonly roles: readonly string[];
  readonly answers: readonly string[];
}

/** So much of a dataset is looked at, in bytes and rows: its header and first rows have the names. */
const MOST_BYTES = 64 * 1024;
const MOST_ROWS = 20;

async function readNames(path: string): Promise<DataNames> {
  const names = { corruptions: new Set<string>(), roles: new Set<string>(), answers: new Set<string>() };
  const stream = createReadStream(path, { encoding: 'utf8', end: MOST_BYTES - 1 });
  let rows = 0;
  try {
    for await (const { row, header } of readDataset(stream)) {
      for (const name of Object.keys(header?.corruptions ?? {})) names.corruptions.add(name);
      if (row === null) continue;
      if (row.corrupted !== undefined) names.corruptions.add('corrupted');
      for (const name of Object.keys(row.corrupt ?? {})) names.corruptions.add(name);
      for (const name of Object.keys(row.roles)) names.roles.add(name);
      for (const { name } of row.answers) names.answers.add(name);
      rows += 1;
      if (rows >= MOST_ROWS) break;
    }
  } catch {
    // A file that cannot be read has no names; a run says what is wrong with it.
  } finally {
    stream.destroy();
  }
  const { corruptions, roles, answers } = names;
  // `cur:L1`, `cur:L2`, … of all answers may be written as one.
  const joined = [...corruptions].flatMap((name) => {
    const own = [...answers].find((answer) => name.includes(answer));
    return own === undefined ? [] : [name.replace(own, '{answer}')];
  });
  const every = joined.filter((name) =>
    [...answers].every((answer) => corruptions.has(name.replace('{answer}', answer))),
  );
  return { corruptions: [...new Set([...every, ...corruptions])], roles: [...roles], answers: [...answers] };
}

/** Names in datasets, read when they are first asked for and again after a change. */
export class DataNamesReader {
  readonly #known = new Map<string, { readonly changedAt: number; readonly names: Promise<DataNames> }>();

  /** @param file as the experiment names it, relative to its folder */
  async of(file: string | undefined, experiment: string): Promise<DataNames> {
    const none: DataNames = { corruptions: [], roles: [], answers: [] };
    if (file === undefined) return none;
    const path = resolve(dirname(experiment), file);
    const changedAt = await stat(path).then(
      ({ mtimeMs }) => mtimeMs,
      () => null,
    );
    if (changedAt === null) return none;
    const known = this.#known.get(path);
    if (known?.changedAt === changedAt) return await known.names;
    const names = readNames(path);
    this.#known.set(path, { changedAt, names });
    return await names;
  }
}

/** Files beside an experiment with an ending. */
export async function filesBeside(experiment: string, ending: string): Promise<readonly string[]> {
  return await readdir(dirname(experiment)).then(
    (names) => names.filter((name) => name.endsWith(ending)).sort(),
    () => [],
  );
}
