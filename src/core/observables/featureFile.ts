import { isDeepStrictEqual } from 'node:util';
import { MechanistError } from '../../shared/errors.ts';
import type { FeatureSpec } from '../../shared/features.ts';
import type { ObservableTerm } from '../../shared/traceDocument.ts';
import type { StepContext } from '../experiments/stepKind.ts';
import { readWholeTensor } from '../models/readTensor.ts';
import { readSafetensorsHeader, type SafetensorsHeader } from '../models/safetensors.ts';
import { printPath } from '../tasks/pathText.ts';
import { requirePath, resolvePath } from '../tasks/resolvePath.ts';
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

const nameOf = ({ observable, path, norm, point }: About): string =>
  `${observable.label} at ${printPath(path, false)} (${norm}, ${point})`;

/**
 * A feature vector as a file of the step `feature` has it: the one of the same observable along the same nodes, of the same norm mode
 * and point where the spec names them. No forward passes. The numbers are float32, as they are in the file.
 * @throws MechanistError `bad-input`: a file of another model or of none, no such feature in it or several
 */
export async function storedFeature(
  context: StepContext,
  { observable, file, path, norm, point }: StoredFeatureSpec,
  prompt: FeaturePrompt,
): Promise<FeatureVector> {
  const header = await readSafetensorsHeader(context.file(file).path).catch((error: unknown) => {
    if (!(error instanceof MechanistError)) throw error;
    return refuse(file, `it cannot be read as safetensors (${error.message})`);
  });
  checkModel(file, header.metadata, context);
  const weights = (terms: readonly ObservableTerm[]) => terms.map(({ id, weight }) => [id, weight]);
  const { terms } = context.observable(observable);
  const nodes = requirePath(path, { sizes: context.model.config, length: prompt.ids.length });
  const wanted = printPath(
    nodes.map(({ node }) => node),
    false,
  );
  const all = [...header.tensors].map(([name, tensor]) => ({
    tensor,
    about: parsed(file, header.metadata.get(`vector ${name}`)) as unknown as About,
  }));
  const fitting = all.filter(
    ({ about }) =>
      isDeepStrictEqual(weights(about.observable.terms), weights(terms)) &&
      printPath(about.path, false) === wanted &&
      (norm === undefined || about.norm === norm) &&
      (point === undefined || about.point === point),
  );
  const [found, ...others] = fitting;
  if (found === undefined) {
    refuse(file, `it has no such feature. It has ${all.map(({ about }) => nameOf(about)).join('; ')}.`);
  }
  if (others.length > 0) {
    const names = fitting.map(({ about }) => nameOf(about)).join('; ');
    refuse(file, `it has several such features: ${names}. Write norm and point.`);
  }
  const { ids, partner: _, position: __, ...about } = found.about;
  const samePrompt = isDeepStrictEqual(Array.from(prompt.ids), ids);
  const { position = prompt.ids.length - 1, roles } = prompt;
  return {
    ...about,
    // Where it is read on this prompt; where a head's token is not written, only the prompt that it was made at tells.
    path: samePrompt ? about.path : resolvePath(nodes, { length: prompt.ids.length, position, roles }),
    vector: Float64Array.from(await readWholeTensor(found.tensor)),
  };
}
