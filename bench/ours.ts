/**
 * Mechanist's side of the benchmark: answers one JSON request a line, as bench/peer.py does.
 * `node bench.mjs --model FOLDER_OR_GGUF --cache FOLDER --threads 1`
 */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { AnalysisEngine } from '../src/core/analyses/analysisEngine.ts';
import { activationBytes } from '../src/core/models/memoryForecast.ts';
import { openModelFiles } from '../src/core/models/openModelFiles.ts';

interface Request {
  readonly task: 'forward' | 'full' | 'trace' | 'encode' | 'memory';
  readonly tokens: readonly (readonly number[])[];
  readonly text: string;
  readonly observable: Readonly<Record<string, number>>;
}

/** First logits of the last position of the first prompt, or the attributions: for the comparison of values. */
type Check = readonly number[];

/** Tokens of the prompt that memory is measured with: what the forecast of a model is made for. */
const MEMORY_TOKENS = 64;
const MEMORY_WORDS = Array.from({ length: MEMORY_TOKENS }, (_, i) => ` ${'abcdefgh'[i % 8]}`).join('');

/** Peak resident memory of this process as Linux accounts for it (file pages included), in bytes; null elsewhere. */
function peakMemory(): number | null {
  try {
    const found = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'));
    return found === null ? null : Number(found[1]) * 1024;
  } catch {
    return null;
  }
}

async function open(path: string, cacheDir: string, threads: number): Promise<AnalysisEngine> {
  const model = await openModelFiles(path, { ref: path, cacheDir, availableBytes: Number.MAX_SAFE_INTEGER });
  return await AnalysisEngine.open(model, { threads, cacheBytes: 64 << 20, version: 'bench' });
}

async function forward(engine: AnalysisEngine, { tokens }: Request, positions?: 'all'): Promise<Check> {
  const { data, dims } = await engine.runner.logits(tokens, positions && { positions });
  const last = (dims[1] - 1) * dims[2];
  return Array.from(data.subarray(last, last + 8));
}

function trace(engine: AnalysisEngine, prompt: string, observable: Request['observable']) {
  return engine.trace({ model: 'bench', prompt, observable, method: 'direct' });
}

/** What a peer needs to be asked the same question. */
function encode({ model }: AnalysisEngine, { text, observable }: Request) {
  const terms = Object.entries(observable).map(([word, weight]) => [model.tokenizer.encodePiece(word)[0], weight]);
  return { ids: model.tokenizer.encode(text).map(({ id }) => id), terms: Object.fromEntries(terms) };
}

/** Peak so far, after a forward pass and a trace of a 64-token prompt, with what it is held against. */
async function memory(engine: AnalysisEngine, { observable }: Request) {
  const { info, config } = engine.model;
  const loaded = peakMemory();
  const { tokens } = await trace(engine, MEMORY_WORDS, observable);
  return {
    loaded_bytes: loaded,
    peak_bytes: peakMemory(),
    weight_bytes: info.parameters * 4,
    activation_bytes: activationBytes(config, tokens.length),
  };
}

async function answer(engine: AnalysisEngine, request: Request): Promise<object> {
  if (request.task === 'encode') return encode(engine, request);
  if (request.task === 'memory') return await memory(engine, request);
  const cpu = process.cpuUsage();
  const start = performance.now();
  const check =
    request.task === 'trace'
      ? (await trace(engine, request.text, request.observable)).attributions
      : await forward(engine, request, request.task === 'full' ? 'all' : undefined);
  const wall = performance.now() - start;
  const { user, system } = process.cpuUsage(cpu);
  return { wall_s: wall / 1e3, cpu_s: (user + system) / 1e6, check: check.slice(0, 8) };
}

const { values } = parseArgs({
  options: { model: { type: 'string' }, cache: { type: 'string' }, threads: { type: 'string' } },
});
const start = performance.now();
const engine = await open(values.model ?? '', values.cache ?? '', Number(values.threads));
await engine.runner.logits([Array.from({ length: 16 }, (_, i) => i + 1)]);
const end = performance.now();
// performance.now() counts from the start of the process.
const hello = { ready: true, load_s: (end - start) / 1e3, first_s: end / 1e3, peak_bytes: peakMemory() };
process.stdout.write(`${JSON.stringify(hello)}\n`);
for await (const line of createInterface({ input: process.stdin })) {
  const reply = await answer(engine, JSON.parse(line) as Request).catch((error: unknown) => ({ error: String(error) }));
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}
await engine.close();
