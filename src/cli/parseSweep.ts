import type {
  AblateRequest,
  GridRequest,
  HeadRef,
  PatchRequest,
  PatchSite,
  PathPatchRequest,
} from '../shared/gridDocument.ts';
import { type MetricKind, type MetricSpec, metricKinds } from '../shared/metric.ts';
import {
  common,
  DEFAULT_MODEL,
  joinNegativeNumbers,
  parse,
  readChoice,
  readInteger,
  readOutput,
} from './parseOptions.ts';
import { UsageError } from './usage.ts';

/** Where the prompts of a sweep come from. */
export type SweepPrompts =
  | { readonly kind: 'given'; readonly prompts: GridRequest['prompts'] }
  | {
      readonly kind: 'file';
      readonly file: string;
      /** Name of the rows' corruption to patch from; null: their corrupted prompt. */
      readonly corruption: string | null;
    };

type Question = Omit<AblateRequest, 'prompts'> | Omit<PatchRequest, 'prompts'> | Omit<PathPatchRequest, 'prompts'>;

export interface SweepCommand {
  readonly kind: 'sweep';
  /** The request without its prompts. */
  readonly question: Question;
  readonly prompts: SweepPrompts;
  /** Result file to write, or null. */
  readonly out: string | null;
  /** Partial result file to go on from, or null. */
  readonly resume: string | null;
  readonly threads: number;
}

const SWEEPS = ['ablate', 'patch', 'path-patch'] as const;
type SweepName = (typeof SWEEPS)[number];

export function isSweepName(text: string): text is SweepName {
  return SWEEPS.some((name) => name === text);
}

const text = { type: 'string' } as const;
const options = {
  ...common,
  model: text,
  prompt: text,
  clean: text,
  corrupted: text,
  answer: text,
  foil: { type: 'string', multiple: true },
  position: text,
  data: text,
  corruption: text,
  metric: text,
  'foil-form': text,
  normalize: text,
  method: text,
  'verify-top': text,
  seed: text,
  memory: text,
  out: text,
  resume: text,
  sites: text,
  mode: text,
  'mean-over': text,
  layer: text,
  site: text,
  'no-positions': { type: 'boolean' },
  'by-position': { type: 'boolean' },
  heads: text,
  direction: text,
  receivers: text,
  mlps: text,
} as const;

type Values = ReturnType<typeof parse<typeof options>>['values'];

const OWN: Readonly<Record<SweepName, readonly (keyof Values)[]>> = {
  ablate: ['prompt', 'sites', 'mode', 'mean-over', 'layer'],
  patch: [
    'clean',
    'corrupted',
    'corruption',
    'site',
    'no-positions',
    'by-position',
    'heads',
    'layer',
    'direction',
    'normalize',
  ],
  'path-patch': ['clean', 'corrupted', 'corruption', 'receivers', 'mlps', 'direction', 'normalize'],
};

function required<T>(name: string, command: string, value: T | undefined): T {
  if (value === undefined) throw new UsageError(`${command} needs --${name}`);
  return value;
}

const PATCH_SITES: readonly PatchSite[] = [
  ...(['resid_pre', 'resid_mid', 'resid_post', 'attn_out', 'mlp_out'] as const),
  ...(['z', 'q', 'k', 'v', 'pattern'] as const),
];

function readMetric(values: Values): MetricSpec | undefined {
  const kind = readChoice<MetricKind>('metric', values.metric, metricKinds);
  const foil = readChoice('foil-form', values['foil-form'], ['one', 'mean', 'max'] as const);
  const normalize = readChoice('normalize', values.normalize, ['denoising', 'noising'] as const);
  if (kind !== undefined && kind !== 'logit-difference') {
    if (foil !== undefined) throw new UsageError('--foil-form belongs to --metric logit-difference');
    return { kind, ...(normalize && { normalize }) };
  }
  if (kind === undefined && foil === undefined && normalize === undefined) return undefined;
  const form = foil ?? ((values.foil?.length ?? 1) > 1 ? 'mean' : 'one');
  return { kind: 'logit-difference', foil: form, ...(normalize && { normalize }) };
}

function readPrompts(name: SweepName, values: Values): SweepPrompts {
  const clean = name === 'ablate' ? 'prompt' : 'clean';
  const given = [values[clean], values.corrupted, values.answer, values.foil, values.position];
  if (values.data !== undefined) {
    if (given.some((value) => value !== undefined)) {
      throw new UsageError(`--data brings prompts and answers: leave --${clean}, --answer, --foil and --position out`);
    }
    return { kind: 'file', file: values.data, corruption: values.corruption ?? null };
  }
  if (values.corruption !== undefined) throw new UsageError('--corruption is one of the data: it needs --data');
  const position = readInteger('position', values.position, Number.NEGATIVE_INFINITY);
  const prompt = {
    clean: required(clean, name, values[clean]),
    ...(name !== 'ablate' && { corrupted: required('corrupted', name, values.corrupted) }),
    answer: required('answer', name, values.answer),
    foils: values.foil ?? [],
    ...(position !== undefined && { position }),
  };
  return { kind: 'given', prompts: [prompt] };
}

/** `9.6.q 10.1.v` */
function readReceivers(list: string): PathPatchRequest['receivers'] {
  if (list === 'final') return 'final';
  return list.split(/[\s,]+/).map((one) => {
    const match = /^(\d+)\.(\d+)\.([qkv])$/.exec(one);
    if (match === null) {
      throw new UsageError(`--receivers is final or a list as "9.6.q 10.1.v" (layer.head.input), not "${one}"`);
    }
    return { layer: Number(match[1]), head: Number(match[2]), input: match[3] as 'q' | 'k' | 'v' };
  });
}

/** Columns of a patching grid, and the heads that are its rows: `--by-position --heads "9.6 9.9"`, or `--layer 9`. */
function readPlaces(values: Values): Pick<PatchRequest, 'byPosition' | 'heads'> {
  const { heads, 'by-position': byPosition = false } = values;
  const layer = readInteger('layer', values.layer, 0);
  if (byPosition && values['no-positions'] === true) {
    throw new UsageError('--by-position and --no-positions exclude each other');
  }
  const extra = heads !== undefined ? 'heads' : layer !== undefined ? 'layer' : undefined;
  if (extra !== undefined && !byPosition) throw new UsageError(`--${extra} of patch needs --by-position`);
  if (heads !== undefined && layer !== undefined) throw new UsageError('give --heads or --layer, not both');
  if (!byPosition) return values['no-positions'] === true ? { byPosition: false } : {};
  if (layer !== undefined) return { byPosition, heads: { layer } };
  return { byPosition, ...(heads !== undefined && { heads: readHeads(heads) }) };
}

/** `9.6 10.0` */
function readHeads(list: string): readonly HeadRef[] {
  return list.split(/[\s,]+/).map((one) => {
    const match = /^(\d+)\.(\d+)$/.exec(one);
    if (match === null) throw new UsageError(`--heads is a list as "9.6 9.9" (layer.head), not "${one}"`);
    return { layer: Number(match[1]), head: Number(match[2]) };
  });
}

function readQuestion(name: SweepName, values: Values): Question {
  const memory = readInteger('memory', values.memory, 1);
  const base = {
    model: values.model ?? DEFAULT_MODEL,
    ...defined({
      metric: readMetric(values),
      method: readChoice('method', values.method, ['exact', 'attribution', 'screened'] as const),
      verifyTop: readInteger('verify-top', values['verify-top'], 1),
      seed: readInteger('seed', values.seed, 0),
      memoryBytes: memory === undefined ? undefined : memory * 1e6,
    }),
  };
  const direction = defined({
    direction: readChoice('direction', values.direction, ['denoising', 'noising'] as const),
  });
  switch (name) {
    case 'ablate':
      return {
        ...base,
        analysis: name,
        sites: readChoice('sites', values.sites, ['heads', 'mlps', 'neurons', 'positions'] as const) ?? 'heads',
        mode: readChoice('mode', values.mode, ['zero', 'mean', 'resample'] as const) ?? 'zero',
        ...defined({
          meanOver: readChoice('mean-over', values['mean-over'], ['batch', 'position'] as const),
          layer: readInteger('layer', values.layer, 0),
        }),
      };
    case 'patch':
      return {
        ...base,
        ...direction,
        analysis: name,
        site: required('site', name, readChoice('site', values.site, PATCH_SITES)),
        ...readPlaces(values),
      };
    case 'path-patch':
      return {
        ...base,
        ...direction,
        analysis: name,
        receivers: readReceivers(values.receivers ?? 'final'),
        mlps: readChoice('mlps', values.mlps, ['frozen', 'recomputed'] as const) ?? 'recomputed',
      };
  }
}

/** The entries that are there. */
function defined<T extends object>(entries: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(entries).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

/**
 * What the person asked for.
 * @throws UsageError in words.
 */
export function parseSweep(
  name: SweepName,
  args: readonly string[],
): (SweepCommand | { readonly kind: 'help' }) & { readonly json: boolean } {
  const { values, positionals } = parse(joinNegativeNumbers(args), options);
  const json = readOutput(values);
  if (values.help === true) return { kind: 'help', json };
  const [extra] = positionals;
  if (extra !== undefined)
    throw new UsageError(`unexpected argument "${extra}"; put texts in quotes after their option`);
  const foreign = Object.values(OWN)
    .flat()
    .find((key) => values[key] !== undefined && !OWN[name].includes(key));
  if (foreign !== undefined) throw new UsageError(`--${foreign} does not belong to ${name}`);
  return {
    kind: 'sweep',
    json,
    question: readQuestion(name, values),
    prompts: readPrompts(name, values),
    out: values.out ?? null,
    resume: values.resume ?? null,
    threads: readInteger('threads', values.threads, 1) ?? 0,
  };
}
