import type { ObservableSpec } from '../../../shared/engineProtocol.ts';
import { observableText, plainText } from '../editFrontMatter.ts';
import type { ExperimentFile } from './experimentTypes.ts';

/** Parameters of a step `heads-map`, but for the path that it is under. */
export interface MapParams {
  readonly observable: string | ObservableSpec;
  readonly corruption?: string;
  readonly top?: number;
}

/** The name of a step that maps the heads under a path for the same observable; undefined where there is none. */
export function mapUnder({ steps }: ExperimentFile, { observable }: MapParams, under: string): string | undefined {
  const wanted = JSON.stringify([observable, under]);
  return steps.find(
    ({ run, params }) => run === 'heads-map' && JSON.stringify([params.observable, params.under]) === wanted,
  )?.name;
}

/** Such a step in YAML, line by line. */
export function mapLines(name: string, { observable, corruption, top }: MapParams, under: string): string[] {
  const spec = typeof observable === 'string' ? plainText(observable) : observableText(observable);
  const others = [
    ...(corruption === undefined ? [] : [`corruption: ${plainText(corruption)}`]),
    ...(top === undefined ? [] : [`top: ${top}`]),
  ];
  return [
    ...[`name: ${name}`, 'run: heads-map', 'with:', `  observable: ${spec}`, `  under: ${JSON.stringify(under)}`],
    ...others.map((line) => `  ${line}`),
  ];
}
