import { stringify } from 'yaml';
import { observableText, plainText } from '../../core/tasks/editFrontMatter.ts';
import type { StepVocabulary } from '../../core/tasks/experiment/experimentTypes.ts';
import type { NamedSpecs } from '../../core/tasks/namedObservables.ts';
import { differsRole, endRole } from './studyPairs.ts';

/** What is known of an observable when it is asked what to study. */
export interface StudyContext {
  /** Name of the observable. */
  readonly observable: string;
  /** Other named observables: those of the settings. */
  readonly others: readonly string[];
  /** Heads that bring most from the token in which the pairs differ, `L26.H2`, the largest first. */
  readonly heads: readonly string[];
  /** A text beside the prompt file. */
  readonly corpus: string | null;
  readonly pairs: number;
}

type Parameters = Readonly<Record<string, unknown>>;

/** Something that can be asked of an observable, in a person's words, and the analysis that answers it. */
interface StudyKind {
  /** Name of the analysis. */
  readonly run: string;
  readonly label: string;
  /** What the result tells, and what it costs. */
  readonly detail: string;
  /** Chosen unless somebody says otherwise. */
  readonly usual?: boolean;
  /** Parameters of its step; null where it needs what is not there. */
  readonly with: (context: StudyContext) => Parameters | null;
}

/** One of the studies that are possible. */
export interface Study extends Omit<StudyKind, 'with'> {
  readonly parameters: Parameters;
}

/** So many heads have feature vectors of their own. */
const FEATURES = 3;
/** Fewer pairs cannot be parted into those that are learned from and those that are held out. */
const FEWEST_LEARNED = 4;

/** Heads at the token in which the pairs differ. */
function paths({ heads }: StudyContext): readonly string[] {
  return heads.slice(0, FEATURES).map((head) => `${head}@${differsRole}`);
}

/** The feature of the head that brings most. */
function feature(context: StudyContext): Parameters | null {
  const [path] = paths(context);
  return path === undefined ? null : { observable: context.observable, path };
}

function withFeature(context: StudyContext, more: Parameters = {}): Parameters | null {
  const own = feature(context);
  return own && { feature: own, ...more };
}

/** In the order in which a study goes: does the pair part, where, along which paths, is it one feature, what does it cost. */
const kinds: readonly StudyKind[] = [
  {
    run: 'baseline',
    label: 'Does it part the pairs?',
    detail: 'The answer against its foils in both runs of every pair. Two forward passes a pair.',
    usual: true,
    with: () => ({}),
  },
  {
    run: 'heads-map',
    label: 'Heads map',
    detail: 'Which heads carry it: norm, contribution, difference in the pair, patched effect.',
    usual: true,
    with: ({ observable }) => ({ observable }),
  },
  {
    run: 'find-paths',
    label: 'Find paths',
    detail: 'Chains of heads and MLPs from token to logits. Hundreds of partial passes a pair.',
    with: ({ observable }) => ({ observable, at: [differsRole, endRole] }),
  },
  {
    run: 'patch-residual',
    label: 'Where it travels',
    detail: 'The corrupted residual stream by layer and token. A pass for each cell and pair.',
    with: () => ({ corruption: 'corrupted' }),
  },
  {
    run: 'feature',
    label: 'Feature vectors',
    detail: 'What three heads read along it, as vectors in a file. A pass or two.',
    with: (context) =>
      context.heads.length === 0 ? null : { observables: [context.observable], paths: paths(context) },
  },
  {
    run: 'couple-features',
    label: 'Features and coupling',
    detail: 'Do three heads read one feature, and other observables the same? From weights.',
    usual: true,
    with: (context) => {
      const { observable, others, corpus, heads } = context;
      if (heads.length === 0) return null;
      const features = { observables: [observable, ...others], paths: paths(context) };
      return { features, ...(corpus !== null && { corpus }) };
    },
  },
  {
    run: 'top-tokens',
    label: 'Top tokens',
    detail: 'Where in a text beside this file it is highest and lowest. A pass for each window.',
    with: (context) => {
      const own = feature(context);
      return own === null || context.corpus === null ? null : { features: [own], corpus: context.corpus };
    },
  },
  {
    run: 'steer-feature',
    label: 'Steer by the feature',
    detail: 'The observable and the KL when the feature is added where the pairs differ.',
    with: (context) => withFeature(context),
  },
  {
    run: 'debias',
    label: 'Debias',
    detail: 'Removes the feature; what that costs another observable of the settings.',
    with: (context) => {
      const [kept] = context.others;
      return kept === undefined ? null : withFeature(context, { protected: kept });
    },
  },
  {
    run: 'feature-baselines',
    label: 'Baselines',
    detail: 'The feature against regressions on labelled prompts, by how many there are.',
    with: (context) => (context.pairs < FEWEST_LEARNED ? null : withFeature(context)),
  },
];

/** The studies whose analyses there are, with the parameters they are given; none that its analysis would refuse. */
export function possibleStudies(vocabulary: readonly StepVocabulary[], context: StudyContext): readonly Study[] {
  return kinds.flatMap(({ with: make, ...study }): Study[] => {
    const params = vocabulary.find(({ name }) => name === study.run)?.params;
    const parameters = params && make(context);
    if (!parameters) return [];
    const known = Object.keys(parameters).every((name) => name in params.properties);
    const whole = (params.required ?? []).every((name) => name in parameters);
    return known && whole ? [{ ...study, parameters }] : [];
  });
}

/** Longest line of parameters; longer ones are written below each other. */
const LINE = 90;

/** `    with: { observable: gender }`, or over several lines. */
function parametersText(parameters: Parameters): string {
  if (Object.keys(parameters).length === 0) return '';
  const line = `    with: ${stringify(parameters, { collectionStyle: 'flow', lineWidth: 0 }).trim()}`;
  if (line.length <= LINE) return `${line}\n`;
  const block = stringify(parameters, { lineWidth: 0 }).trimEnd();
  return `    with:\n${block.replaceAll(/^/gm, '      ')}\n`;
}

/** Names in a step's parameters. */
function namesIn(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(namesIn) : [];
}

/** The experiment that asks the chosen studies of an observable. */
export function studyExperiment(
  chosen: readonly Study[],
  about: {
    readonly model: string;
    readonly data: string;
    /** The observable first; others are written where a study names them. */
    readonly observables: NamedSpecs;
    readonly from: string;
    /** What a reader should know of the pairs; null: nothing. */
    readonly note: string | null;
    /** Whether the observable compares tokens; else the answer's log-probability is the metric. */
    readonly compares: boolean;
  },
): string {
  const { model, data, observables, from, note, compares } = about;
  const steps = chosen.map(({ run, label, parameters }) => {
    return `  # ${label}\n  - run: ${run}\n${parametersText(parameters)}`;
  });
  const named = new Set(chosen.flatMap(({ parameters }) => namesIn(parameters)));
  const written = Object.entries(observables).flatMap(([name, spec], i) => {
    return i === 0 || named.has(name) ? [`  ${name}: ${observableText(spec)}\n`] : [];
  });
  return [
    `# Made from ${from} by Mechanist: Study Observable. Clean is the side that the observable calls positive.\n`,
    note === null ? '' : `# ${note}\n`,
    `model: ${plainText(model)}\ndata: ${plainText(data)}\n`,
    compares ? '' : 'metric: log-prob\n',
    `observables:\n${written.join('')}`,
    `steps:\n${steps.join('')}`,
  ].join('');
}
