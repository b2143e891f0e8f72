/** What a run of the benchmark says, as Markdown. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const NAMES = { ours: 'Mechanist', hf: 'transformers', tl: 'TransformerLens' };

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Versions of everything that took part. */
export function environmentOf(python, here) {
  const code =
    'import importlib.metadata as m, json, platform; print(json.dumps({"python": platform.python_version(), **{p: m.version(p) for p in ("torch", "transformers", "transformer-lens")}}))';
  const asked = spawnSync(python, ['-c', code], { encoding: 'utf8' });
  const runtime = JSON.parse(
    readFileSync(join(here, '..', 'node_modules', 'onnxruntime-node', 'package.json'), 'utf8'),
  );
  return { node: process.versions.node, 'onnxruntime-node': runtime.version, ...JSON.parse(asked.stdout) };
}

const ms = (seconds) => (seconds < 10 ? `${(1000 * seconds).toFixed(0)} ms` : `${seconds.toFixed(1)} s`);
const mb = (bytes) => `${Math.round(bytes / 1e6)} MB`;

/** Median over rounds of peer / ours, taken inside each round. */
function ratio(samples, peer, field) {
  return median(samples[peer].map((answer, i) => answer[field] / samples.ours[i][field]));
}

function jobRow({ model, threads, job, samples, worst }) {
  const cell = (kind) =>
    samples[kind]
      ? `${ms(median(samples[kind].map((x) => x.wall_s)))} (${ms(median(samples[kind].map((x) => x.cpu_s)))})`
      : '';
  const times = (kind) =>
    samples[kind] ? `${ratio(samples, kind, 'wall_s').toFixed(2)} (${ratio(samples, kind, 'cpu_s').toFixed(2)})` : '';
  return `| ${model} | ${threads} | ${job} | ${cell('ours')} | ${cell('hf')} | ${times('hf')} | ${cell('tl')} | ${times('tl')} | ${worst.toExponential(0)} |`;
}

function loadRow({ model, samples }) {
  const cell = (kind) => ms(median(samples[kind].map((x) => x.wall_s)));
  const inner = (kind) => ms(median(samples[kind].map((x) => x.load_s)));
  return `| ${model} | ${cell('ours')} (${inner('ours')}) | ${cell('hf')} (${inner('hf')}) | ${cell('tl')} (${inner('tl')}) |`;
}

function memoryRow(row) {
  const { model, loaded_bytes: loaded, peak_bytes: peak, weight_bytes: weights, activation_bytes: activations } = row;
  if (peak === null) return `| ${model} | ${mb(weights)} | ${mb(activations)} | not measured on this system | | | |`;
  const verdict = peak <= row.bound_bytes ? 'held' : '**broken**';
  const times = ((peak - activations) / weights).toFixed(2);
  return `| ${model} | ${mb(weights)} | ${mb(activations)} | ${mb(loaded)} | ${mb(peak)} (${times} ×) | ${mb(row.bound_bytes)}: ${verdict} | ${mb(row.peers.hf)}, ${mb(row.peers.tl)} |`;
}

export function markdown(report, bound) {
  const load = (values) => values.map((value) => value.toFixed(1)).join(', ');
  return [
    `${report.cpu}, ${report.cores} cores; ${Object.entries(report.environment)
      .map(([name, version]) => `${name} ${version}`)
      .join(', ')}.`,
    `Load average (1, 5, 15 minutes) before ${load(report.before)}; after, its own work included, ${load(report.after)}.`,
    '',
    `Median of ${report.rounds} rounds: wall time, CPU time of the whole process in brackets. Ratios are ${NAMES.hf} or ${NAMES.tl} over ${NAMES.ours}, taken inside each round, then the median: wall (CPU).`,
    '',
    '| model | threads | job | Mechanist | transformers | ratio | TransformerLens | ratio | max Δ |',
    '| --- | --- | --- | --- | --- | --- | --- | --- | --- |',
    ...report.jobs.map(jobRow),
    '',
    `Start of the process to first logits (in brackets: without starting the runtime and importing libraries), ${report.loads[0]?.threads} threads, n = ${report.loads[0]?.samples.ours.length}:`,
    '',
    '| model | Mechanist | transformers | TransformerLens |',
    '| --- | --- | --- | --- |',
    ...report.loads.map(loadRow),
    '',
    `Peak memory of the engine process (VmHWM, Linux), a fresh one, after load and after a trace of 64 tokens, against ${bound} × float32 weights + activations of 64 tokens:`,
    '',
    '| model | weights | activations | after load | after the trace (less activations, over weights) | bound | transformers, TransformerLens after load |',
    '| --- | --- | --- | --- | --- | --- | --- |',
    ...report.memory.map(memoryRow),
  ].join('\n');
}
