import type { CoupledFeature, CoupledFeatures } from '../../../shared/couplingFeatures.ts';
import { coupledFeatures } from '../../../shared/couplingFeatures.ts';
import { observableText, plainText } from '../editFrontMatter.ts';
import type { ExperimentFile } from './experimentTypes.ts';

/** Parameters of a step `couple-features` that a step `top-tokens` of its features takes over. */
export interface CoupledParams {
  readonly features: CoupledFeatures;
  readonly norm?: string;
  readonly point?: string;
  readonly row?: string | number;
  readonly corruption?: string;
  readonly corpus?: string;
  readonly tokens?: number;
  readonly separator?: string;
}

/** The features at two positions of a coupling; one, where they are the same. */
export function pairOf({ features }: CoupledParams, [row, column]: readonly [number, number]): CoupledFeature[] {
  const all = coupledFeatures(features);
  return [...new Set([row, column])].flatMap((i) => all[i] ?? []);
}

const same = (a: CoupledFeature, b: CoupledFeature): boolean =>
  a.path === b.path && JSON.stringify(a.observable) === JSON.stringify(b.observable);

/** The name of a step `top-tokens` that shows all of some features; undefined where there is none. */
export function topTokensOf(file: ExperimentFile, wanted: readonly CoupledFeature[]): string | undefined {
  const shows = (params: Readonly<Record<string, unknown>>): boolean => {
    const features = (params.features ?? []) as readonly CoupledFeature[];
    return wanted.every((one) => features.some((other) => same(one, other)));
  };
  return file.steps.find(({ run, params }) => run === 'top-tokens' && shows(params))?.name;
}

/** A name for one more step: `tokens`, `tokens-2`. */
export function freeName({ steps }: ExperimentFile, name: string): string {
  const taken = new Set(steps.map((step) => step.name.toLowerCase()));
  for (let i = 1; ; i++) {
    const own = i === 1 ? name : `${name}-${i}`;
    if (!taken.has(own)) return own;
  }
}

/** A step `top-tokens` in YAML, line by line, made at the same row and points as the coupling. */
export function topTokensLines(
  name: string,
  wanted: readonly CoupledFeature[],
  { norm, point, row, corruption, tokens, separator }: CoupledParams,
  corpus: string,
): string[] {
  const written = (value: string | number): string => (typeof value === 'number' ? `${value}` : plainText(value));
  const pairs = (record: Readonly<Record<string, string | number | undefined>>): string[] =>
    Object.entries(record).flatMap(([key, value]) => (value === undefined ? [] : [`${key}: ${written(value)}`]));
  const feature = ({ observable, path }: CoupledFeature): string => {
    const spec = typeof observable === 'string' ? plainText(observable) : observableText(observable);
    return `{ ${[`observable: ${spec}`, `path: ${JSON.stringify(path)}`, ...pairs({ norm, point })].join(', ')} }`;
  };
  return [
    ...[`name: ${name}`, 'run: top-tokens', 'with:', '  features:'],
    ...wanted.map((one) => `    - ${feature(one)}`),
    ...pairs({ corpus, tokens, separator, row, corruption }).map((line) => `  ${line}`),
  ];
}
