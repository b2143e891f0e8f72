import type { ExperimentFile, ExperimentStep } from '../../core/tasks/experiment/experimentTypes.ts';
import type { ExperimentTarget } from '../../shared/contributions.ts';
import { isFailure, type StepProgress } from '../../shared/experimentRun.ts';
import { count, duration } from '../../shared/format.ts';
import { agoText, type ShownCheck, type StepState } from './stepStates.ts';

/** One entry of a row in an experiment file. Without a target it is only read. */
export interface ExperimentLensText {
  readonly title: string;
  readonly tooltip?: string;
  /** What `mechanist.runExperiment` is given. */
  readonly target?: ExperimentTarget;
}

/** `12 of 144 cells, 1:42 left` */
export function progressText({ cells, secondsLeft }: StepProgress): string {
  const left = secondsLeft === null ? '' : `, ${duration(secondsLeft)} left`;
  return `${count(cells.done)} of ${count(cells.total)} cells${left}`;
}

/** How a step stands, in words. */
function stateText(state: StepState, now: number): ExperimentLensText[] {
  switch (state.kind) {
    case 'none':
      return [];
    case 'queued':
      return [{ title: 'waiting' }];
    case 'running':
      return [{ title: `$(sync~spin) ${progressText(state.progress)}`, tooltip: `Now ${state.progress.label}` }];
    case 'failed':
      return [{ title: `$(error) ${state.message}`, tooltip: state.message }];
    case 'partial': {
      const { done, total } = state.result.cells;
      const stale = state.stale === null ? '' : `, stale: ${state.stale}`;
      return [{ title: `${count(done)} of ${count(total)} cells${stale}` }];
    }
    case 'done': {
      if (state.stale === null) return [{ title: `done ${agoText(state.result.writtenAt, now)}` }];
      return [
        { title: `$(warning) stale: ${state.stale}`, tooltip: 'Run again; cells that are still right are kept.' },
      ];
    }
  }
}

/** The row over a step: `▶ Run Step | Open Result | 12 of 144 cells`. */
export function stepLens(step: ExperimentStep, state: StepState, uri: string, now: number): ExperimentLensText[] {
  const target = (action: ExperimentTarget['action']): ExperimentTarget => ({ uri, step: step.name, action });
  const busy = state.kind === 'running' || state.kind === 'queued';
  const run: ExperimentLensText = busy
    ? { title: '$(debug-stop) Cancel', tooltip: 'Cancel, keep what is done', target: target('cancel') }
    : { title: '$(play) Run Step', tooltip: 'Runs the cells that are missing', target: target('run') };
  const result = state.kind === 'done' || state.kind === 'partial' ? state.result : null;
  const shown = state.kind === 'running' ? state.result : result;
  const opens: ExperimentLensText[] = shown ? [{ title: 'Open Result', target: target('open') }] : [];
  if (result?.hasEvaluation) opens.push({ title: 'Open Evaluation', target: target('openEvaluation') });
  if (result?.hasCircuit) opens.push({ title: 'Open Circuit', target: target('openCircuit') });
  return [run, ...opens, ...stateText(state, now)];
}

function checksText(checks: readonly ShownCheck[]): ExperimentLensText[] {
  const counted = checks.filter(({ check }) => check.note === undefined);
  if (counted.length === 0) return [];
  const failed = counted.filter(({ check }) => isFailure(check)).length;
  const title = `${counted.length - failed} of ${counted.length} numbers as expected`;
  return [{ title: failed === 0 ? `$(pass) ${title}` : `$(warning) ${title}` }];
}

/** The row at the top: `▶ Run | Open Results | 4 of 5 numbers as expected`. */
export function topLens(
  file: ExperimentFile,
  states: readonly StepState[],
  checks: readonly ShownCheck[],
  uri: string,
): ExperimentLensText[] {
  const target = (action: ExperimentTarget['action']): ExperimentTarget => ({ uri, action });
  const errors = file.problems.filter(({ severity }) => severity === 'error').length;
  if (errors > 0)
    return [{ title: `$(error) ${errors === 1 ? '1 problem' : `${count(errors)} problems`} in this file` }];
  const opens = states.some(({ kind }) => kind === 'done' || kind === 'partial')
    ? [{ title: 'Open Results', target: target('open') }]
    : [];
  const running = states.find((state) => state.kind === 'running');
  if (running || states.some(({ kind }) => kind === 'queued')) {
    const text = running ? `${running.progress.step}: ${progressText(running.progress)}` : 'opening the model';
    const cancel = { title: '$(debug-stop) Cancel', tooltip: 'Cancel, keep what is done', target: target('cancel') };
    return [cancel, { title: `$(sync~spin) ${text}` }, ...opens];
  }
  const right = states.filter((state) => (state.kind === 'done' || state.kind === 'partial') && state.stale === null);
  const whole = right.length === states.length && right.every(({ kind }) => kind === 'done');
  const run: ExperimentLensText = whole
    ? {
        title: '$(debug-restart) Run Again',
        tooltip: 'Forgets what is done and runs everything',
        target: target('again'),
      }
    : right.length > 0
      ? { title: '$(play) Resume', tooltip: 'Runs the cells that are missing', target: target('run') }
      : { title: '$(play) Run', tooltip: 'Runs all steps; cells that are still right are kept', target: target('run') };
  return [run, ...opens, ...checksText(checks)];
}
