// What the parts of a picture are held to when a result is read; words for NaN and infinities are numbers by then.

export const isText = (value: unknown): value is string => typeof value === 'string';
export const isReal = (value: unknown): value is number => typeof value === 'number';
export const isMaybeNumber = (value: unknown): value is number | null => value === null || isReal(value);
export const every = (value: unknown, test: (entry: unknown) => boolean): value is readonly unknown[] =>
  Array.isArray(value) && value.every(test);
export const isTexts = (value: unknown): value is readonly string[] => every(value, isText);
/** Two numbers: an interval, a point of a curve. */
export const isPair = (value: unknown): boolean => every(value, isReal) && value.length === 2;
