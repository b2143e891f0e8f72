import type { FeatureSpec } from '../../shared/features.ts';

const written = (path: string): string => path.replaceAll(/\s+/g, '');

/** Names of features in values: `gender:L21.H4<=L18.H7`; those that would have the name of an earlier one are counted, `…#2`. */
export function featureKeys(specs: readonly FeatureSpec[]): readonly string[] {
  const seen = new Map<string, number>();
  return specs.map(({ observable, path }) => {
    const name = typeof observable === 'string' ? observable : 'observable';
    const key = `${name}:${written(path)}`;
    const times = (seen.get(key) ?? 0) + 1;
    seen.set(key, times);
    return times === 1 ? key : `${key}#${times}`;
  });
}

/** Whether a name of `featureKeys` is of this path, as it is written. */
export function keyHasPath(key: string, path: string): boolean {
  return key.slice(key.indexOf(':') + 1).replace(/#\d+$/, '') === written(path);
}
