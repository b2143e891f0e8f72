import { isDeepStrictEqual } from 'node:util';
import { MechanistError } from '../../shared/errors.ts';
import type { FeatureSpec, PathNode } from '../../shared/features.ts';
import type { ObservableTerm } from '../../shared/traceDocument.ts';
import type { StepContext } from '../experiments/stepKind.ts';
import { readWholeTensor } from '../models/readTensor.ts';
import { readSafetensorsHeader, type SafetensorsHeader } from '../models/safetensors.ts';
import type { StoredTensor } from '../models/storedTensor.ts';
import { printPath } from '../tasks/pathText.ts';
import { requirePath, resolvePath } from '../tasks/resolvePath.ts';
import { keyHasPath } from './featureKeys.ts';
import type { FeaturePrompt, FeatureVector } from './featureVector.ts';

/** What a file says of a vector, beside its numbers, and the prompt that it was made at. */
type About = Omit<FeatureVector, 'vector'> & {
  readonly ids: readonly number[];
  readonly partner: unknown;
  readonly position: unknown;
};

/** A feature that is in a file already. */
export type StoredFeatureSpec = FeatureSpec & { readonly file: string };

export const isStored = (spec: FeatureSpec): spec is StoredFeatureSpec => spec.file !== undefined;

function refuse(file: string, why: string): never {
  throw new MechanistError('bad-input', `${file}: ${why}`);
}

function parsed(file: string, text: string | undefined): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text ?? 'null');
    if (typeof value === 'object' && value !== null) return value as Readonly<Record<string, unknown>>;
  } catch {
    // Said below.
  }
  return refuse(file, 'what it says of its vectors cannot be read. Make it anew with the step feature.');
}

/** What was made with another model says nothing about this one, also where it is as wide. */
function checkModel(
  file: string,
  metadata: SafetensorsHeader['metadata'],
  { model }: Pick<StepContext, 'model'>,
): void {
  if (metadata.get('format') !== 'mechanist-vectors') {
    refuse(file, 'this is no file of feature vectors: take one that the step feature wrote.');
  }
  const { modelLabel, modelHash } = parsed(file, metadata.get('provenance'));
  const { label, hash } = model.info;
  if (modelHash === hash) return;
  const other = `${modelLabel ?? 'another model'} (weights ${String(modelHash).slice(0, 12)})`;
  refuse(
    file,
    `its features were made with ${other}, not with ${label} (weights ${hash.slice(0, 12)}): a direction of one model means nothing in another. Make them anew with the step feature.`,
  );
}

const nameOf = ({ about: { observable, path, norm, point } }: Entry): string =>
  `${observable.label} at ${printPath(path)} (${norm}, ${point})`;

const weightsOf = (terms: readonly ObservableTerm[]) => terms.map(({ id, weight }) => [id, weight]);

/** A vector of a file, and where it stands. */
interface Entry {
  readonly name: string;
  readonly tensor: StoredTensor;
  readonly about: About;
}

async function entriesOf(context: StepContext, file: string): Promise<readonly Entry[]> {
  const header = await readSafetensorsHeader(context.file(file).path).catch((error: unknown) => {
    if (!(error instanceof MechanistError)) throw error;
    return refuse(file, `it cannot be read as safetensors (${error.message})`);
  });
  checkModel(file, header.metadata, context);
  return [...header.tensors].map(([name, tensor]) => {
    const about = parsed(file, header.metadata.get(`vector ${name}`)) as unknown as About;
    return { name, tensor, about };
  });
}

/** True where a path goes through the nodes of another, and through its tokens as far as both are of one prompt. */
function samePath(path: readonly PathNode[], wanted: readonly PathNode[], tokens: boolean): boolean {
  if (printPath(path, false) !== printPath(wanted, false)) return false;
  return !tokens || wanted.every(({ position }, i) => position === null || position === path[i].position);
}

/** The one that was written as the spec's path is, among several that differ by their tokens. */
function writtenAs(entries: readonly Entry[], path: string): readonly Entry[] {
  const same = entries.filter(({ name }) => keyHasPath(name, path));
  return same.length > 0 ? same : entries;
}

/**
 * A feature vector as a file of the step `feature` has it: the one of the same observable along the same path, of the same norm mode
 * and point where the spec names them. On the prompt that it was made at, tokens must be the same; on another prompt the path says
 * where the vector is read, and of several tokens that it was made at, the one whose name is the path as it is written. No forward
 * passes. The numbers are float32, as they are in the file.
 * @throws MechanistError `bad-input`: a file of another model or of none, no such feature in it or several, a path that is none here
 */
export async function storedFeature(
  context: StepContext,
  { observable, file, path, norm, point }: StoredFeatureSpec,
  prompt: FeaturePrompt,
): Promise<FeatureVector> {
  const entries = await entriesOf(context, file);
  const { terms } = context.observable(observable);
  const { position = prompt.ids.length - 1, roles } = prompt;
  const { length } = prompt.ids;
  const known = { sizes: context.model.config, length, ...(roles !== undefined && { roles: Object.keys(roles) }) };
  const wanted = resolvePath(requirePath(path, known), { length, position, roles });
  const onPrompt = ({ about }: Entry) => isDeepStrictEqual(Array.from(prompt.ids), about.ids);
  const fitting = entries.filter(
    (entry) =>
      isDeepStrictEqual(weightsOf(entry.about.observable.terms), weightsOf(terms)) &&
      samePath(entry.about.path, wanted, onPrompt(entry)) &&
      (norm === undefined || entry.about.norm === norm) &&
      (point === undefined || entry.about.point === point),
  );
  const [found, ...others] = writtenAs(fitting, path);
  if (found === undefined) refuse(file, `it has no such feature. It has ${entries.map(nameOf).join('; ')}.`);
  if (others.length > 0) {
    const names = [found, ...others].map(nameOf).join('; ');
    refuse(file, `it has several such features: ${names}. Write norm and point, or the path as the step feature does.`);
  }
  const { ids: _, partner: __, position: ___, ...about } = found.about;
  const vector = Float64Array.from(await readWholeTensor(found.tensor));
  // Where a head's token is not written, only the prompt that it was made at tells where it is read.
  return { ...about, path: onPrompt(found) ? about.path : wanted, vector };
}
