import { plainText } from '../../core/tasks/editFrontMatter.ts';
import type { StepVocabulary } from '../../core/tasks/experiment/experimentTypes.ts';
import { observableFormat } from '../../core/tasks/experiment/observableRefs.ts';
import { differsRole, endRole } from './studyPairs.ts';

/** Something that can be asked of an observable, in a person's words, and the analysis that answers it. */
export interface Study {
  /** Name of the analysis. */
  readonly run: string;
  readonly label: string;
  /** What the result tells, and what it costs. */
  readonly detail: string;
  /** Parameters beside those that every study is given. */
  readonly with?: Readonly<Record<string, unknown>>;
  /** Chosen unless somebody says otherwise. */
  readonly usual?: boolean;
}

/** In the order in which a study goes: does the pair part, where, along which paths, is it one feature, what does it cost. */
const studies: readonly Study[] = [
  {
    run: 'baseline',
    label: 'Does it part the pairs?',
    detail: 'The answer against its foils in both runs of every pair. Two forward passes a pair.',
    usual: true,
  },
  {
    run: 'patch-heads',
    label: 'Which heads move it',
    detail: "Each head's z from the corrupted run into the clean one. A forward pass for each head and pair.",
    usual: true,
  },
  {
    run: 'patch-residual',
    label: 'Where it travels',
    detail:
      'The residual stream of the corrupted run, layer by layer and token by token. A pass for each cell and pair.',
  },
];

const isList = (schema: Readonly<Record<string, unknown>>) => schema.type === 'array';

/** What a parameter is given by its name or form; undefined for one that a study knows nothing of. */
function knownValue(name: string, schema: Readonly<Record<string, unknown>>, observable: string): unknown {
  const items = schema.items as Readonly<Record<string, unknown>> | undefined;
  if (schema.format === observableFormat) return name === 'observable' ? observable : undefined;
  if (items?.format === observableFormat) return [observable];
  if (name === 'corruption') return 'corrupted';
  if (name === 'role' || name === 'at') return isList(schema) ? [differsRole] : differsRole;
  return name === 'roles' && isList(schema) ? [differsRole, endRole] : undefined;
}

/** Parameters of a step on the pairs of a study; null where it needs one that a study knows nothing of. */
function studyParameters(
  study: Study,
  { params }: StepVocabulary,
  observable: string,
): Readonly<Record<string, unknown>> | null {
  const given = Object.entries(params.properties).flatMap(([name, schema]) => {
    const own = study.with?.[name];
    if (own !== undefined) return [[name, own] as const];
    const needed = params.required?.includes(name) || name === 'observable' || name === 'observables';
    const value = needed ? knownValue(name, schema, observable) : undefined;
    return value === undefined ? [] : [[name, value] as const];
  });
  const filled = Object.fromEntries(given);
  return (params.required ?? []).every((name) => name in filled) ? filled : null;
}

/** The studies whose analyses there are. */
export function possibleStudies(kinds: readonly StepVocabulary[]): readonly Study[] {
  return studies.filter((study) => {
    const kind = kinds.find(({ name }) => name === study.run);
    return kind !== undefined && studyParameters(study, kind, 'observable') !== null;
  });
}

function yamlText(value: unknown): string {
  if (typeof value === 'string') return plainText(value);
  if (Array.isArray(value)) return `[${value.map(yamlText).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return String(value);
  return `{ ${Object.entries(value)
    .map(([key, own]) => `${plainText(key)}: ${yamlText(own)}`)
    .join(', ')} }`;
}

/** The experiment that asks the chosen studies of an observable. */
export function studyExperiment(
  chosen: readonly Study[],
  kinds: readonly StepVocabulary[],
  about: {
    readonly model: string;
    readonly data: string;
    readonly observable: string;
    readonly spec: Readonly<Record<string, number>>;
    readonly from: string;
    /** Whether the observable compares tokens; else the answer's log-probability is the metric. */
    readonly compares: boolean;
  },
): string {
  const { model, data, observable, spec, from, compares } = about;
  const steps = chosen.flatMap((study) => {
    const kind = kinds.find(({ name }) => name === study.run);
    const parameters = kind && studyParameters(study, kind, observable);
    if (!parameters) return [];
    const given = Object.keys(parameters).length === 0 ? '' : `\n    with: ${yamlText(parameters)}`;
    return [`  # ${study.label}\n  - run: ${study.run}${given}\n`];
  });
  const terms = Object.entries(spec).map(([text, weight]) => `${JSON.stringify(text)}: ${weight}`);
  return [
    `# Made from ${from} by Mechanist: Study Observable. Clean is the side that the observable calls positive.\n`,
    `model: ${plainText(model)}\ndata: ${plainText(data)}\n`,
    compares ? '' : 'metric: log-prob\n',
    `observables:\n  ${observable}: { ${terms.join(', ')} }\n`,
    `steps:\n${steps.join('')}`,
  ].join('');
}
