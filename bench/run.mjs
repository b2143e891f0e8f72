#!/usr/bin/env node
/**
 * Compares Mechanist's engine with Hugging Face transformers and TransformerLens in one run on the same cores.
 *
 *   npm run bench -- --python .venv/bin/python --gguf SmolLM2-135M-Instruct.Q4_1.gguf [--work FOLDER] [--rounds 9]
 *     [--threads 1,all] [--loads 5] [--json results.json]
 *
 * Each engine is one process that answers line by line. A round asks every engine the same question in turn, so that
 * whatever else the machine does falls on all of them alike; ratios are taken inside a round, and their median is given.
 * Exit code 1 when the engines disagree or the memory bound is broken. See README.md for the installation.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import { LineEngine } from './lineEngine.mjs';
import { environmentOf, markdown, median } from './report.mjs';

const HERE = import.meta.dirname;
const ROOT = join(HERE, '..');
const { values: args } = parseArgs({
  options: {
    python: { type: 'string', default: 'python3' },
    gguf: { type: 'string' },
    work: { type: 'string', default: join(tmpdir(), 'mechanist-bench') },
    rounds: { type: 'string', default: '9' },
    loads: { type: 'string', default: '5' },
    threads: { type: 'string', default: '1,all' },
    json: { type: 'string' },
  },
});
if (args.gguf === undefined) {
  console.error('bench: --gguf FILE is needed (mechanist models pull smollm2-135m puts it into the cache).');
  process.exit(2);
}
const ROUNDS = Number(args.rounds);
const MEMORY_BOUND = 1.35;
// Engines that compute the same thing must say the same thing.
const AGREEMENT = 5e-3;

/** The engine as it is now, in one file. The runtime's native part stays in node_modules. */
async function bundleOurs() {
  const outfile = join(ROOT, 'dist', 'bench.mjs');
  await build({
    entryPoints: [join(HERE, 'ours.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    packages: 'external',
    logLevel: 'warning',
  });
  return outfile;
}

function makeModels() {
  mkdirSync(args.work, { recursive: true });
  const made = spawnSync(args.python, [join(HERE, 'makeModels.py'), args.work, '--gguf', args.gguf], {
    stdio: ['ignore', 'inherit', 'ignore'],
  });
  if (made.status !== 0) throw new Error('bench: makeModels.py failed; is bench/requirements.txt installed?');
}

const MODELS = {
  'random GPT-2 small': {
    peer: join(args.work, 'random-gpt2'),
    ours: join(args.work, 'random-gpt2'),
    observable: { a: 1, b: -1 },
  },
  'SmolLM2-135M': { peer: join(args.work, 'smollm2-f32'), ours: args.gguf, observable: { ' she': 1, ' he': -1 } },
};

function start(kind, model, threads, oursFile) {
  const n = String(threads);
  if (kind === 'ours') {
    return new LineEngine(kind, process.execPath, [
      oursFile,
      '--model',
      model.ours,
      '--cache',
      join(args.work, 'cache'),
      '--threads',
      n,
    ]);
  }
  return new LineEngine(kind, args.python, [
    join(HERE, 'peer.py'),
    '--api',
    kind,
    '--model',
    model.peer,
    '--threads',
    n,
  ]);
}

/** Token ids from a seeded generator: every round has its own, so that no cache answers. */
function randomTokens(batch, length, seed) {
  let state = (seed * 2654435761 + 12345) >>> 0;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return 300 + (state % 40000);
  };
  return Array.from({ length: batch }, () => Array.from({ length }, next));
}

// Twelve to sixteen tokens; the first word differs from round to round, so that no prefix is shared.
const FIRST = [
  'Pat',
  'Mary',
  'Yesterday',
  'Because',
  'While',
  'Nobody',
  'Four',
  'Often',
  'People',
  'Then',
  'Some',
  'Later',
  'Every',
  'Once',
  'Under',
  'Long',
  'After',
];
const promptOf = (round) =>
  `${FIRST[(round + FIRST.length) % FIRST.length]} told us that the nurse and the farmer met, and that`;

/** Jobs: which engines take part, and the request of a round. */
function jobsOf(modelName, encode) {
  const random = modelName.startsWith('random');
  const trace = async (round) => {
    const { ids, terms } = await encode(random ? promptOf(round).slice(0, 12) : promptOf(round));
    return { task: 'trace', text: random ? promptOf(round).slice(0, 12) : promptOf(round), tokens: [ids], terms };
  };
  const forward = (batch, length, task, salt) => (round) => ({
    task,
    tokens: randomTokens(batch, length, round + salt),
  });
  const large = random ? [64, 16] : [16, 16];
  return [
    {
      name: `forward ${large.join(' × ')} tokens, last logits`,
      engines: ['ours', 'hf'],
      request: forward(...large, 'forward', 10),
    },
    {
      name: `forward ${large.join(' × ')} tokens, all logits`,
      engines: ['ours', 'tl'],
      request: forward(...large, 'full', 50),
    },
    {
      name: 'forward 1 × 16 tokens, last logits',
      engines: ['ours', 'hf', 'tl'],
      request: forward(1, 16, 'forward', 90),
    },
    { name: 'trace of one prompt', engines: ['ours', 'tl'], request: trace },
  ];
}

function checkAgreement(job, answers) {
  const [first, ...others] = answers;
  let worst = 0;
  for (const other of others) {
    other.check.forEach((value, i) => {
      worst = Math.max(worst, Math.abs(value - first.check[i]));
    });
  }
  if (!(worst <= AGREEMENT)) throw new Error(`bench: the engines disagree by ${worst} on "${job}"`);
  return worst;
}

async function runModel(modelName, threads, oursFile) {
  const model = MODELS[modelName];
  const engines = {};
  const results = [];
  try {
    for (const kind of ['ours', 'hf', 'tl']) {
      engines[kind] = start(kind, model, threads, oursFile);
      await engines[kind].ready();
    }
    const encode = (text) => engines.ours.ask({ task: 'encode', text, observable: model.observable });
    for (const job of jobsOf(modelName, encode)) {
      const samples = Object.fromEntries(job.engines.map((kind) => [kind, []]));
      let worst = 0;
      // Round −1 warms up and is not counted. The order turns, so that nobody always comes first.
      for (let round = -1; round < ROUNDS; round += 1) {
        const request = { ...(await job.request(round)), observable: model.observable };
        const turn = (round + 1) % job.engines.length;
        const order = [...job.engines.slice(turn), ...job.engines.slice(0, turn)];
        const answers = {};
        for (const kind of order) answers[kind] = await engines[kind].ask(request);
        worst = Math.max(
          worst,
          checkAgreement(
            job.name,
            job.engines.map((kind) => answers[kind]),
          ),
        );
        if (round >= 0) for (const kind of job.engines) samples[kind].push(answers[kind]);
      }
      results.push({ model: modelName, threads, job: job.name, samples, worst });
      console.error(`${modelName}, ${threads} thread(s), ${job.name}: ${summary(samples)}`);
    }
    return results;
  } finally {
    await Promise.all(Object.values(engines).map((engine) => engine.close()));
  }
}

const summary = (samples) =>
  Object.entries(samples)
    .map(([kind, list]) => `${kind} ${(1000 * median(list.map((x) => x.wall_s))).toFixed(0)} ms`)
    .join(', ');

/**
 * From the start of a process to its first logits, several times in turn; files are in the page cache for all, and ours
 * are already cast to float32. The same fresh processes tell their peak memory.
 */
async function runLoads(modelName, threads, oursFile) {
  const samples = { ours: [], hf: [], tl: [] };
  const { observable } = MODELS[modelName];
  let memory = null;
  for (let round = -1; round < Number(args.loads); round += 1) {
    for (const kind of Object.keys(samples)) {
      const engine = start(kind, MODELS[modelName], threads, oursFile);
      const ready = await engine.ready();
      if (kind === 'ours') memory = await engine.ask({ task: 'memory', observable });
      await engine.close();
      if (round >= 0) samples[kind].push(ready);
    }
  }
  console.error(`${modelName}, start to first logits: ${summary(samples)}`);
  const bound = MEMORY_BOUND * memory.weight_bytes + memory.activation_bytes;
  const peers = { hf: median(samples.hf.map((x) => x.peak_bytes)), tl: median(samples.tl.map((x) => x.peak_bytes)) };
  return {
    loads: { model: modelName, threads, samples },
    memory: { model: modelName, threads, ...memory, bound_bytes: bound, peers },
  };
}

const before = loadavg();
const oursFile = await bundleOurs();
makeModels();
const all = availableParallelism();
const counts = [...new Set(args.threads.split(',').map((word) => (word === 'all' ? all : Number(word))))];
const report = {
  environment: environmentOf(args.python, HERE),
  cores: all,
  cpu: cpus()[0]?.model,
  before,
  rounds: ROUNDS,
  jobs: [],
  memory: [],
  loads: [],
};
for (const threads of counts) {
  for (const modelName of Object.keys(MODELS)) {
    report.jobs.push(...(await runModel(modelName, threads, oursFile)));
  }
}
for (const modelName of Object.keys(MODELS)) {
  const { loads, memory } = await runLoads(modelName, all, oursFile);
  report.loads.push(loads);
  report.memory.push(memory);
}
report.after = loadavg();
if (args.json) writeFileSync(args.json, `${JSON.stringify(report, null, 1)}\n`);
console.log(markdown(report, MEMORY_BOUND));
if (report.memory.some(({ peak_bytes: peak, bound_bytes: bound }) => peak !== null && peak > bound)) {
  console.error(`bench: peak memory is above ${MEMORY_BOUND} × weights + activations`);
  process.exitCode = 1;
}
