#!/usr/bin/env node
/**
 * Compares Mechanist's sweeps with the hooks of TransformerLens (both forms) and nnsight, and its forward pass with transformers, in
 * one run on the same cores.
 *
 *   node bench/sweeps.mjs --python .venv/bin/python [--hooked .venv3/bin/python] [--nnsight] [--gguf FILE] [--model gpt2|smollm2]
 *                         [--work FOLDER] [--rounds 3] [--threads 1,all] [--prompts 64] [--cells 6] [--json FILE]
 *
 * A round asks everybody the same in turn; the ratios are taken inside a round, and their median is given.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import { LineEngine } from './lineEngine.mjs';
import { environmentOf, median } from './report.mjs';
import { jobsOf, necessaryOperations } from './sweepJobs.mjs';

const HERE = import.meta.dirname;
const { values: args } = parseArgs({
  options: {
    python: { type: 'string', default: 'python3' },
    hooked: { type: 'string' },
    nnsight: { type: 'boolean', default: false },
    gguf: { type: 'string' },
    model: { type: 'string', default: 'gpt2' },
    work: { type: 'string', default: join(tmpdir(), 'mechanist-bench') },
    rounds: { type: 'string', default: '3' },
    threads: { type: 'string', default: '1,all' },
    prompts: { type: 'string', default: '64' },
    cells: { type: 'string', default: '6' },
    json: { type: 'string' },
  },
});
const [PROMPTS, LENGTH] = [Number(args.prompts), 16];
/** Largest difference of logit differences that is put down to the order of float32 sums. */
const AGREEMENT = 5e-3;

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

/** The first round warms up on two prompts. */
function shortened(asked) {
  const two = (list) => list.slice(0, 2);
  return { tokens: two(asked.tokens), answers: two(asked.answers), foils: two(asked.foils) };
}

function largestDifference(job, ours, peer) {
  const own =
    job.width === undefined ? ours.check : job.cells.map(([row, column]) => ours.check[row * job.width + column]);
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
  const common = { bundle: true, platform: 'node', format: 'esm', target: 'node20', packages: 'external' };
  await build({ ...common, logLevel: 'warning', entryPoints: [join(HERE, 'sweeps.ts')], outfile });
  return outfile;
}

function makeModels() {
  mkdirSync(args.work, { recursive: true });
  const gguf = args.gguf ? ['--gguf', args.gguf] : [];
  const made = spawnSync(args.python, [join(HERE, 'makeModels.py'), args.work, ...gguf], {
    stdio: ['ignore', 'inherit', 'ignore'],
  });
  if (made.status !== 0) throw new Error('bench: makeModels.py failed; is bench/requirements.txt installed?');
  if (args.model === 'gpt2') return { ours: join(args.work, 'random-gpt2'), peers: join(args.work, 'random-gpt2') };
  if (!args.gguf) throw new Error('bench: --model smollm2 needs --gguf FILE');
  return { ours: args.gguf, peers: join(args.work, 'smollm2-f32') };
}

async function startEngines(models, program, threads) {
  const own = ['--model', models.ours, '--cache', join(args.work, 'cache'), '--threads', threads];
  const peer = (api, python) =>
    new LineEngine(api, python, [
      join(HERE, 'peerSweeps.py'),
      '--api',
      api,
      '--model',
      models.peers,
      '--threads',
      threads,
    ]);
  const engines = {
    ours: new LineEngine('ours', process.execPath, [program, ...own]),
    hf: peer('hf', args.python),
    tl: peer('tl', args.python),
    ...(args.hooked && args.model === 'gpt2' && { hooked: peer('hooked', args.hooked) }),
    ...(args.nnsight && { nnsight: peer('nnsight', args.python) }),
  };
  let hello = {};
  for (const [name, engine] of Object.entries(engines)) {
    const said = await engine.ready();
    if (name === 'ours') hello = said;
  }
  return { engines, hello };
}

const keyOf = ({ peer, resume }) => (resume ? `${peer}, resume at the layer` : peer);

/** One round of one job: ours and every peer in turn, who comes first turning from round to round. */
async function askAll(job, request, engines, round) {
  const turns = [
    ['ours', () => engines.ours.ask({ ...request, task: job.ours })],
    ...job.peers
      .filter(({ peer }) => engines[peer] !== undefined)
      .map((form) => [
        keyOf(form),
        () => engines[form.peer].ask({ ...request, task: job.task, cells: job.cells, resume: form.resume === true }),
      ]),
  ];
  const answers = {};
  for (const [who, ask] of round % 2 === 0 ? turns : turns.toReversed()) answers[who] = await ask();
  return answers;
}

function timesOf(job, answers) {
  const factor = job.total === undefined ? 1 : job.total / job.cells.length;
  return Object.fromEntries(
    Object.entries(answers).map(([who, { wall_s: wall, cpu_s: cpu }]) => {
      const times = who === 'ours' ? 1 : factor;
      return [who, { wall: wall * times, cpu: cpu * times }];
    }),
  );
}

async function runThreads(models, program, threads) {
  const { engines, hello } = await startEngines(models, program, threads);
  const jobs = jobsOf({ layers: hello.layers, heads: hello.heads, length: LENGTH, count: Number(args.cells) });
  const before = loadavg();
  const sgemm = [await engines.ours.ask({ task: 'sgemm' })];
  const samples = jobs.map(() => []);
  const recalls = [];
  let worst = 0;
  for (let round = -1; round < Number(args.rounds); round += 1) {
    const request = round < 0 ? shortened(question(39)) : question(round + 40);
    let exact = null;
    for (const [index, job] of jobs.entries()) {
      const answers = await askAll(job, request, engines, round);
      for (const [who, answer] of Object.entries(answers)) {
        if (who === 'ours') continue;
        const difference = largestDifference(job, answers.ours, answer);
        worst = Math.max(worst, difference);
        if (!(difference <= AGREEMENT))
          throw new Error(`bench: ${who} and we disagree by ${difference} on "${job.name}"`);
      }
      if (job.ours === 'ablate') exact = answers.ours;
      if (round < 0) continue;
      if (job.ours === 'screened') recalls.push(recall(answers.ours, exact));
      samples[index].push(timesOf(job, answers));
      const { ours, ...others } = samples[index].at(-1);
      const said = Object.entries(others).map(([who, { wall }]) => `${who} ${wall.toFixed(2)} s`);
      console.error(
        `${threads} threads, round ${round + 1}, ${job.name}: ${ours.wall.toFixed(2)} s; ${said.join(', ')}`,
      );
    }
  }
  sgemm.push(await engines.ours.ask({ task: 'sgemm' }));
  const after = loadavg();
  await Promise.all(Object.values(engines).map((engine) => engine.close()));
  return { threads, hello, jobs, samples, recalls, worst, sgemm, load: { before, after } };
}

const seconds = ({ wall, cpu }) => `${wall.toFixed(2)} s (${cpu.toFixed(2)} s)`;
const mid = (list, who) => ({ wall: median(list.map((s) => s[who].wall)), cpu: median(list.map((s) => s[who].cpu)) });

function rowsOf({ jobs, samples }) {
  return jobs.flatMap((job, index) => {
    const like = job.as === undefined ? index : jobs.findIndex(({ ours }) => ours === job.as);
    const peers = Object.keys(samples[like][0]).filter((who) => who !== 'ours');
    return peers.map((who, i) => {
      const ratio = (field) =>
        median(samples[index].map((sample, round) => samples[like][round][who][field] / sample.ours[field])).toFixed(1);
      const own = i === 0 ? `${job.name} | ${seconds(mid(samples[index], 'ours'))}` : ' | ';
      return `| ${own} | ${who} | ${seconds(mid(samples[like], who))} | ${ratio('wall')} (${ratio('cpu')}) |`;
    });
  });
}

/** How much of the rate of bare matrix products the exact sweep reaches. */
function shareOf({ hello, jobs, samples, sgemm }) {
  const operations = necessaryOperations({ ...hello.shape, prompts: PROMPTS, length: LENGTH });
  const times = mid(samples[jobs.findIndex(({ ours }) => ours === 'ablate')], 'ours');
  const rates = { wall: median(sgemm.map(({ wall }) => wall)), cpu: median(sgemm.map(({ cpu }) => cpu)) };
  const share = (field) => (operations / times[field] / 1e9 / rates[field]).toFixed(2);
  return `Exact sweep: ${(operations / 1e12).toFixed(2)} TFLOP necessary, ${share('wall')} (${share('cpu')} by CPU time) of the rate that bare matrix products of these shapes reach in the same run (${rates.wall.toFixed(0)} GFLOP/s wall, ${rates.cpu.toFixed(0)} a CPU second).`;
}

const models = makeModels();
const program = await bundle();
const all = String(availableParallelism());
const counts = [...new Set(args.threads.split(',').map((count) => (count === 'all' ? all : count)))];
const runs = [];
for (const threads of counts) runs.push(await runThreads(models, program, threads));
const environment = environmentOf(args.python, HERE);
const report = {
  environment,
  processor: cpus()[0]?.model,
  model: args.model,
  prompts: PROMPTS,
  rounds: args.rounds,
  runs,
};
if (args.json) writeFileSync(args.json, `${JSON.stringify(report, null, 1)}\n`);
const load = (list) => list.map((value) => value.toFixed(1)).join(', ');
for (const run of runs) {
  console.log(`
${args.model}, ${report.processor}, ${run.threads} threads, ${PROMPTS} prompts × ${LENGTH} tokens, ${args.rounds} rounds, load ${load(run.load.before)} before, ${load(run.load.after)} after.
Largest difference of values ${run.worst.toExponential(0)}. Screening: recall of the true ten largest heads ${run.recalls.join(', ')}.
${shareOf(run)}

| job | Mechanist | peer | its time | ratio |
| --- | --- | --- | --- | --- |
${rowsOf(run).join('\n')}`);
}
