import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { parse } from 'yaml';
import { MechanistError } from '../../shared/errors.ts';
import { type NamedSpecs, observablesSetting, readNamedObservables } from '../tasks/namedObservables.ts';

async function readYaml(path: string): Promise<unknown> {
  try {
    return parse(await readFile(path, 'utf8'), { logLevel: 'error', maxAliasCount: 20 });
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new MechanistError('bad-input', `The observables cannot be read from ${path}: ${reason}`);
  }
}

/**
 * Observables by name from a YAML or JSON file: a map of names to tokens and weights, or settings that have
 * `mechanist.observables`.
 * @throws MechanistError `bad-input` when it cannot be read, or an observable in it is wrong
 */
export async function readObservablesFile(path: string): Promise<NamedSpecs> {
  const value = await readYaml(path);
  const whole =
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Readonly<Record<string, unknown>>)
      : null;
  if (whole === null) {
    const message = `${basename(path)} holds no observables. Map names to tokens and weights: gender: { " she": 1, " he": -1 }.`;
    throw new MechanistError('bad-input', message);
  }
  const { specs, mistakes } = readNamedObservables(whole[observablesSetting] ?? whole);
  const [mistake] = Object.values(mistakes);
  if (mistake !== undefined) throw new MechanistError('bad-input', `${basename(path)}: ${mistake}`);
  return specs;
}
