#!/usr/bin/env node
/**
 * Compares Mechanist's sweeps with TransformerLens' hooks, and its forward pass with transformers, in one run on the same cores.
 *
 *   node bench/sweeps.mjs --python .venv/bin/python [--work FOLDER] [--rounds 3] [--threads 2] [--prompts 64] [--json FILE]
 *
 * Mechanist runs every sweep in full; of a sweep that costs TransformerLens a forward pass a cell, it runs some cells, spread
 * over the layers, and its time for all is that time multiplied out. A round asks everybody the same in turn; the ratios are
 * taken inside a round, and their median is given.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import { LineEngine } from './lineEngine.mjs';
import { environmentOf, median } from './report.mjs';

const HERE = import.meta.dirname;
const { values: args } = parseArgs({
  options: {
    python: { type: 'string', default: 'python3' },
    work: { type: 'string', default: join(tmpdir(), 'mechanist-bench') },
    rounds: { type: 'string', default: '3' },
    threads: { type: 'string', default: String(availableParallelism()) },
    prompts: { type: 'string', default: '64' },
    json: { type: 'string' },
  },
});
const [PROMPTS, LENGTH, HEADS] = [Number(args.prompts), 16, 12];
const AGREEMENT = 1e-3;

/** Prompts, answers and foils from a seeded generator; every round has its own. */
function question(seed) {
  let state = (seed * 2654435761 + 12345) >>> 0;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return 300 + ((state >>> 8) % 40000);
  };
  const list = (count) => Array.from({ length: count }, next);
  return {
    tokens: Array.from({ length: PROMPTS }, () => list(LENGTH)),
    answers: list(PROMPTS),
    foils: list(PROMPTS).map((id) => id + 1),
  };
}

// Cells that TransformerLens runs: every other layer, so that its mean is that of all cells.
const someHeads = [0, 2, 4, 6, 8, 10].map((layer) => [layer, (layer * 5) % HEADS]);
const somePlaces = [0, 3, 5, 7, 9, 11].map((layer, i) => [layer, (3 * i) % LENGTH]);

const JOBS = [
  { name: 'forward, last logits', ours: 'last', peer: 'hf', task: 'last' },
  { name: 'forward, all logits', ours: 'full', peer: 'tl', task: 'full' },
  {
    name: 'zero-ablate 144 heads, exact',
    ours: 'ablate',
    peer: 'tl',
    task: 'ablate',
    cells: someHeads,
    width: HEADS,
    total: 144,
  },
  {
    name: 'zero-ablate 144 heads, screened',
    ours: 'screened',
    peer: 'tl',
    task: 'ablate',
    cells: someHeads,
    total: 144,
  },
  {
    name: 'patch resid_pre at 192 places',
    ours: 'residPatch',
    peer: 'tl',
    task: 'residPatch',
    cells: somePlaces,
    width: LENGTH,
    total: 192,
  },
  { name: 'attribution patching, resid_pre and z', ours: 'attribution', peer: 'tl', task: 'attribution' },
  { name: 'direct paths, 144 heads to logits', ours: 'pathDirect', peer: 'tl', task: 'pathDirect' },
];

function largestDifference(job, ours, peer) {
  const own =
    job.width === undefined ? ours.check : job.cells.map(([row, column]) => ours.check[row * job.width + column]);
  if (job.ours === 'screened') return 0;
  return peer.check.reduce((worst, value, i) => Math.max(worst, Math.abs(value - own[i])), 0);
}

/** Share of the ten heads with the largest exact effects that screening ran exactly. */
function recall(screened, exact) {
  const top = exact.check
    .map((value, i) => [Math.abs(value - exact.clean), i])
    .sort((a, b) => b[0] - a[0])
    .slice(0, 10);
  return top.filter(([, i]) => screened.exact[i]).length / 10;
}

async function bundle() {
  const outfile = join(HERE, '..', 'dist', 'benchSweeps.mjs');
  const common = {
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    packages: 'external',
    logLevel: 'warning',
  };
  await build({ ...common, entryPoints: [join(HERE, 'sweeps.ts')], outfile });
  return outfile;
}

mkdirSync(args.work, { recursive: true });
const made = spawnSync(args.python, [join(HERE, 'makeModels.py'), args.work], {
  stdio: ['ignore', 'inherit', 'ignore'],
});
if (made.status !== 0) throw new Error('bench: makeModels.py failed; is bench/requirements.txt installed?');
const model = join(args.work, 'random-gpt2');
const peer = (api) =>
  new LineEngine(api, args.python, [
    join(HERE, 'peerSweeps.py'),
    '--api',
    api,
    '--model',
    model,
    '--threads',
    args.threads,
  ]);
const engines = {
  ours: new LineEngine('ours', process.execPath, [
    await bundle(),
    '--model',
    model,
    '--cache',
    join(args.work, 'cache'),
    '--threads',
    args.threads,
  ]),
  hf: peer('hf'),
  tl: peer('tl'),
};
for (const engine of Object.values(engines)) await engine.ready();

const before = loadavg();
const samples = JOBS.map(() => []);
const recalls = [];
let worst = 0;
for (let round = -1; round < Number(args.rounds); round += 1) {
  const asked = question(round + 40);
  const small = {
    ...asked,
    tokens: asked.tokens.slice(0, 2),
    answers: asked.answers.slice(0, 2),
    foils: asked.foils.slice(0, 2),
  };
  let exact = null;
  for (const [index, job] of JOBS.entries()) {
    // The first round warms up on two prompts.
    const request = round < 0 ? small : asked;
    const turns = [
      ['ours', () => engines.ours.ask({ ...request, task: job.ours })],
      ['peer', () => engines[job.peer].ask({ ...request, task: job.task, cells: job.cells })],
    ];
    const answers = {};
    for (const [who, ask] of round % 2 === 0 ? turns : turns.reverse()) answers[who] = await ask();
    const difference = largestDifference(job, answers.ours, answers.peer);
    worst = Math.max(worst, difference);
    if (!(difference <= AGREEMENT)) throw new Error(`bench: the engines disagree by ${difference} on "${job.name}"`);
    if (job.ours === 'ablate') exact = answers.ours;
    if (round < 0) continue;
    if (job.ours === 'screened') recalls.push(recall(answers.ours, exact));
    const factor = job.total === undefined ? 1 : job.total / job.cells.length;
    const time = ({ wall_s: wall, cpu_s: cpu }, times) => ({ wall: wall * times, cpu: cpu * times });
    samples[index].push({ ours: time(answers.ours, 1), peer: time(answers.peer, factor) });
    console.error(
      `round ${round + 1}, ${job.name}: ${answers.ours.wall_s.toFixed(2)} s, peer ${(answers.peer.wall_s * factor).toFixed(2)} s`,
    );
  }
}
const after = loadavg();
await Promise.all(Object.values(engines).map((engine) => engine.close()));

const seconds = (list, who, field) => `${median(list.map((sample) => sample[who][field])).toFixed(2)} s`;
const ratio = (list, field) => median(list.map(({ ours, peer: other }) => other[field] / ours[field])).toFixed(1);
const rows = JOBS.map((job, i) => {
  const list = samples[i];
  const name = job.total === undefined ? job.peer : `${job.peer}, ${job.cells.length} of ${job.total} run`;
  return `| ${job.name} | ${seconds(list, 'ours', 'wall')} (${seconds(list, 'ours', 'cpu')}) | ${name} | ${seconds(list, 'peer', 'wall')} (${seconds(list, 'peer', 'cpu')}) | ${ratio(list, 'wall')} (${ratio(list, 'cpu')}) |`;
});
const report = {
  environment: environmentOf(args.python, HERE),
  processor: cpus()[0]?.model,
  threads: args.threads,
  prompts: PROMPTS,
  rounds: args.rounds,
  load: { before, after },
  worst,
  recalls,
  samples,
};
if (args.json) writeFileSync(args.json, `${JSON.stringify(report, null, 1)}\n`);
const load = (list) => list.map((value) => value.toFixed(1)).join(', ');
console.log(`${report.processor}, ${args.threads} threads, ${PROMPTS} prompts × ${LENGTH} tokens, ${args.rounds} rounds, load ${load(before)} before, ${load(after)} after.
Wall time (CPU time), median; ratio peer / Mechanist, taken inside a round. Largest difference of values ${worst.toExponential(0)}.
Screening: recall of the true ten largest heads ${recalls.join(', ')}.

| job | Mechanist | peer | its time | ratio |
| --- | --- | --- | --- | --- |
${rows.join('\n')}`);
