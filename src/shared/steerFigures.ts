import type { BarPicture, CurvePicture, Estimate, FiguresDocument, TablePicture } from './figures.ts';
import { share, signed, visibleToken } from './format.ts';
import type { SteerDocument, SteerOutputs } from './steerDocument.ts';

/** Tokens beside each other in the figure, and in a row of the table. */
const shownTokens = 5;
const rowTokens = 3;

const one = (mean: number): Estimate => ({ mean, n: 1, sd: null, interval: null });

/** `+4`, `0`, `−2.5`: a factor as it is written on an axis. */
function factorText(factor: number): string {
  return factor === 0 ? '0' : `${factor < 0 ? '−' : '+'}${Number(Math.abs(factor).toPrecision(4))}`;
}

interface Run extends SteerOutputs {
  readonly factor: number;
}

/** Every run once, from the smallest factor on; the unchanged one among them. */
function runsOf({ clean, steered }: SteerDocument): Run[] {
  const others = steered.filter(({ factor }, i) => factor !== 0 && steered.findIndex((s) => s.factor === factor) === i);
  return [...others, { factor: 0, ...clean }].sort((a, b) => a.factor - b.factor);
}

function curve(runs: readonly Run[], id: 'metric' | 'kl', title: string, subtitle: string, unit: string): CurvePicture {
  const clean = runs.find(({ factor }) => factor === 0);
  return {
    id,
    type: 'curve',
    title,
    subtitle,
    x: { name: 'factor', labels: runs.map(({ factor }) => factorText(factor)) },
    origin: runs.findIndex(({ factor }) => factor === 0),
    series: [
      {
        name: id === 'kl' ? 'KL' : 'metric',
        points: runs.map((run) => one(id === 'kl' ? run.kl : run.value)),
        emphasised: true,
        ...(id === 'metric' && clean && { reference: clean.value }),
      },
    ],
    bands: [],
    unit,
  };
}

function nextBars(runs: readonly Run[]): BarPicture {
  const ends = [runs[0], runs.find(({ factor }) => factor === 0), runs[runs.length - 1]];
  const shown = ends.filter((run, i): run is Run => run !== undefined && ends.indexOf(run) === i);
  return {
    id: 'next',
    type: 'bars',
    title: 'Next tokens before and after',
    subtitle: `the ${shownTokens} likeliest after the prompt`,
    groups: shown.map(({ factor, next }) => ({
      label: factor === 0 ? 'unsteered' : `factor ${factorText(factor)}`,
      bars: next
        .slice(0, shownTokens)
        .map(({ text, logprob }) => ({ label: visibleToken(text), ...one(Math.exp(logprob)) })),
    })),
    unit: 'probability',
    spread: 'none',
  };
}

function runTable(runs: readonly Run[], unit: string): TablePicture {
  return {
    id: 'runs',
    type: 'table',
    title: 'Every factor',
    subtitle: '',
    columns: [{ name: 'factor' }, { name: 'metric', unit }, { name: 'KL', unit: 'nats' }, { name: 'next tokens' }],
    rows: runs.map(({ factor, value, kl, next }) => [
      factor === 0 ? '0, unsteered' : factorText(factor),
      value,
      kl,
      next
        .slice(0, rowTokens)
        .map(({ text, logprob }) => `${visibleToken(text)} ${share(Math.exp(logprob))}`)
        .join('  '),
    ]),
  };
}

/** The figures of a steering: metric and KL over the factors, next tokens before and after, every number as a table. */
export function steerFigures(document: SteerDocument): FiguresDocument {
  const { metric, clean, intervention, provenance, warnings, request, item, cost } = document;
  const runs = runsOf(document);
  const most = runs.reduce((a, b) => (Math.abs(b.value - clean.value) > Math.abs(a.value - clean.value) ? b : a));
  const { label, unit } = metric;
  const change = `from ${signed(clean.value)} to ${signed(most.value)} ${unit}`;
  return {
    schemaVersion: 1,
    kind: 'figures',
    analysis: 'steer',
    title:
      most.factor === 0 ? `No factor changes ${label}` : `Factor ${factorText(most.factor)} takes ${label} ${change}`,
    subtitle: `${visibleToken(item.prompt)} · n = 1 prompt · ${intervention}`,
    complete: true,
    cells: { done: runs.length, total: runs.length },
    warnings,
    provenance,
    request: { ...request },
    pictures: [
      curve(runs, 'metric', `${label} by factor`, 'line at 0 and dashes: unsteered run', unit),
      curve(
        runs,
        'kl',
        'KL from the unsteered run',
        'of the next token where the answer is read; line at 0: unsteered',
        'nats',
      ),
      nextBars(runs),
      runTable(runs, unit),
    ],
    values: Object.fromEntries(
      runs.flatMap((run) => [
        [`metric at ${run.factor}`, run.value],
        [`kl at ${run.factor}`, run.kl],
      ]),
    ),
    checks: [],
    cost,
  };
}
