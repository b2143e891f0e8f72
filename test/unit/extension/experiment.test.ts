import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ExperimentParser } from '../../../src/core/tasks/experiment/experimentFile.ts';
import { requestOf } from '../../../src/core/tasks/experiment/experimentRequest.ts';
import { vocabularyOf } from '../../../src/core/tasks/experiment/experimentSchema.ts';
import { withSharedObservables } from '../../../src/core/tasks/experiment/observableRefs.ts';
import { progressText, stepLens, topLens } from '../../../src/extension/experiment/lensTexts.ts';
import { SchemaWalk } from '../../../src/extension/experiment/schemaWalk.ts';
import {
  agoText,
  type LiveRun,
  type StepResultFile,
  shownChecks,
  stepState,
} from '../../../src/extension/experiment/stepStates.ts';

const schema = JSON.parse(
  readFileSync(new URL('../../../media/schemas/experiment.schema.json', import.meta.url), 'utf8'),
) as Readonly<Record<string, unknown>>;
const parser = new ExperimentParser(vocabularyOf(schema));
const text = `model: m
data: d.jsonl
steps:
  - baseline
  - name: residual
    run: patch-residual
    with: { corruption: cur }
expect:
  - baseline clean.all: 3 ± 1
  - baseline clean.all: ≥ 5
  - { step: baseline, value: clean.all, low: 9, model: other }
`;
const file = parser.parse(text);
const [baseline, residual] = file.steps;
const now = Date.UTC(2026, 10, 27, 12);

/** A result of the baseline as it is on disk. */
function result(more: Partial<StepResultFile> = {}): StepResultFile {
  return {
    ...{ complete: true, cells: { done: 9, total: 9 }, values: { 'clean.all': 3.5 } },
    request: { ...JSON.parse(JSON.stringify(requestOf(file, baseline, 'm'))), dataHash: 'x' },
    provenance: { model: 'm' } as StepResultFile['provenance'],
    ...{ writtenAt: now - 3 * 60_000, hasEvaluation: false, hasCircuit: false, ...more },
  };
}

const nothing = { live: null, result: undefined, failure: undefined, dataChangedAt: null };
const titles = (texts: readonly { title: string }[]) => texts.map(({ title }) => title).join(' | ');
const lens = (known: Partial<Parameters<typeof stepState>[2]>) =>
  titles(stepLens(baseline, stepState(file, baseline, { ...nothing, ...known }), 'u', now));

describe('the row over a step', () => {
  const live = (waiting: string[], cells?: { done: number; total: number }): LiveRun => ({
    waiting: new Set(waiting),
    progress: cells ? { step: 'baseline', cells, label: 'clean/3', secondsLeft: 102 } : null,
  });

  it.each<[string, Partial<Parameters<typeof stepState>[2]>, string]>([
    ['nothing is done', {}, '$(play) Run Step'],
    ['it waits', { live: live(['baseline']) }, '$(debug-stop) Cancel | waiting'],
    [
      'it runs',
      { live: live(['baseline'], { done: 12, total: 1440 }), result: result() },
      '$(debug-stop) Cancel | Open Result | $(sync~spin) 12 of 1,440 cells, 1:42 left',
    ],
    ['another step runs', { live: live(['residual']) }, '$(play) Run Step'],
    ['it failed', { failure: 'No corruption.' }, '$(play) Run Step | $(error) No corruption.'],
    ['it is done', { result: result() }, '$(play) Run Step | Open Result | done 3 min ago'],
    [
      'it is done and found a circuit',
      { result: result({ hasCircuit: true, hasEvaluation: true }) },
      '$(play) Run Step | Open Result | Open Evaluation | Open Circuit | done 3 min ago',
    ],
    [
      'it is half done',
      { result: result({ complete: false, cells: { done: 4, total: 9 } }) },
      '$(play) Run Step | Open Result | 4 of 9 cells',
    ],
    [
      'the file asks something else',
      { result: result({ request: { ...result().request, seed: 1 } }) },
      '$(play) Run Step | Open Result | $(warning) stale: file changed',
    ],
    [
      'the data is newer',
      { result: result(), dataChangedAt: now },
      '$(play) Run Step | Open Result | $(warning) stale: data changed',
    ],
  ])('when %s', (_name, known, wanted) => {
    expect(lens(known)).toBe(wanted);
  });

  it('says how long ago', () => {
    const ago = [0, 59_000, 60_000, 3_599_000, 3_600_000, 86_399_000, 86_400_000].map((ms) => agoText(now - ms, now));
    expect(ago).toEqual(['just now', 'just now', '1 min ago', '59 min ago', '1 h ago', '23 h ago', '26 Nov 2026']);
    expect(progressText({ step: 's', cells: { done: 1, total: 2 }, label: '', secondsLeft: null })).toBe(
      '1 of 2 cells',
    );
  });
});

describe('a step that names an observable of the settings', () => {
  const observable = { ' Democrat': 1, ' Republican': -1 };
  const ofSettings = `model: m
data: d.jsonl
steps:
  - name: party-map
    run: heads-map
    with: { observable: party }
expect:
  - party-map direct.max: ≥ 1
`;
  const written = parser.parse(ofSettings);
  const shared = withSharedObservables(written, { party: observable });
  const [step] = shared.steps;
  const request = { ...JSON.parse(JSON.stringify(requestOf(shared, step, 'm'))), dataHash: 'x' };
  const known = { ...nothing, result: result({ request, values: { 'direct.max': 3 } }) };

  it('is done, and held to what is expected', () => {
    expect(request).toMatchObject({ sharedObservables: ['party'] });
    const state = stepState(shared, step, known);
    expect(state).toMatchObject({ kind: 'done', stale: null });
    expect(shownChecks(shared, () => state).map(({ check }) => check.passed)).toEqual([true]);
  });

  it.each([
    ['other tokens', withSharedObservables(written, { party: { ...observable, ' Green': 1 } })],
    ['the file itself', parser.parse(`observables: { party: { " Democrat": 1, " Republican": -1 } }\n${ofSettings}`)],
  ])('is stale when the name then comes from %s', (_where, file) => {
    expect(stepState(file, file.steps[0], known)).toMatchObject({ kind: 'done', stale: 'file changed' });
  });
});

describe('the row at the top', () => {
  const none = stepState(file, residual, nothing);
  const done = stepState(file, baseline, { ...nothing, result: result() });
  const checks = shownChecks(file, (step) => (step === baseline ? done : none));
  const top = (...states: Parameters<typeof topLens>[1]) => titles(topLens(file, states, [], 'u'));

  it('offers what can be done now', () => {
    expect(top(none, none)).toBe('$(play) Run');
    expect(top(done, none)).toBe('$(play) Resume | Open Results');
    expect(top(done, done)).toBe('$(debug-restart) Run Again | Open Results');
    const stale = stepState(file, baseline, { ...nothing, result: result(), dataChangedAt: now });
    expect(top(stale, stale)).toBe('$(play) Run | Open Results');
    expect(top({ kind: 'queued' }, none)).toBe('$(debug-stop) Cancel | $(sync~spin) opening the model');
    const progress = { step: 'baseline', cells: { done: 1, total: 2 }, label: '', secondsLeft: 60 };
    expect(top({ kind: 'running', progress, result: null }, done)).toBe(
      '$(debug-stop) Cancel | $(sync~spin) baseline: 1 of 2 cells, 1:00 left | Open Results',
    );
    const broken = parser.parse(text.replace('d.jsonl', ''));
    expect(titles(topLens(broken, [], [], 'u'))).toBe('$(error) 1 problem in this file');
  });

  it('counts the numbers that are as expected, without those of other models', () => {
    expect(checks.map(({ check }) => [check.passed, check.note])).toEqual([
      [true, undefined],
      [false, undefined],
      [false, 'expected of other, this is m'],
    ]);
    expect(titles(topLens(file, [done, none], checks, 'u'))).toContain('$(warning) 1 of 2 numbers as expected');
  });

  it('does not hold an expectation to a stale or unfinished result', () => {
    const half = stepState(file, baseline, { ...nothing, result: result({ complete: false }) });
    expect(shownChecks(file, () => half)).toEqual([]);
  });
});

describe('words of the schema', () => {
  const walk = new SchemaWalk(schema);
  const keys = (path: string[], kind: string | null = null) => walk.keys(path, kind).map(({ name }) => name);

  it('are found at every place of a file', () => {
    expect(keys([])).toEqual(['model', 'data', 'seed', 'metric', 'observables', 'steps', 'expect']);
    expect(keys(['data'])).toEqual(['file', 'rows']);
    expect(keys(['metric'])).toEqual(['kind', 'foil', 'normalize']);
    expect(walk.values(['metric'], null)).toContain('log-prob');
    expect(walk.values(['metric', 'foil'], null)).toEqual(['one', 'mean', 'max']);
    expect(keys(['steps', '-'])).toEqual(['name', 'run', 'with']);
    expect(keys(['steps', '-', 'with'], 'patch-residual')).toContain('corruption');
    expect(walk.values(['steps', '-', 'with', 'direction'], 'patch-residual')).toEqual(['noising', 'denoising']);
    expect(walk.values(['steps', '-', 'with', 'metric', 'kind'], 'baseline')).toContain('kl');
    expect(keys(['steps', '-', 'with'], 'nothing')).toEqual([]);
    expect(keys(['steps', '-', 'with'])).toEqual([]);
    expect(walk.values(['steps', '-', 'run'], null)).toEqual(walk.kinds().map(({ name }) => name));
  });

  it('say what they mean, with choices and default', () => {
    expect(walk.description(['steps', '-', 'with', 'direction'], 'patch-residual')).toMatch(
      /noising: corrupted.*One of `noising`, `denoising`.*Default: `"noising"`/s,
    );
    expect(walk.description(['steps', '-', 'run'], null)).toContain('The analysis');
    expect(walk.description(['nothing'], null)).toBe('');
    for (const { name, description } of walk.kinds()) expect(description, name).not.toBe('');
  });
});
