/**
 * Mechanist's side of the benchmark of sweeps: answers one JSON request a line, as bench/peerSweeps.py does.
 * `node benchSweeps.mjs --model FOLDER --cache FOLDER --threads 2`
 */
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { AnalysisEngine } from '../src/core/analyses/analysisEngine.ts';
import { backwardOf } from '../src/core/analyses/attributionPatch.ts';
import type { OpenModel } from '../src/core/models/openModel.ts';
import { openModelFiles } from '../src/core/models/openModelFiles.ts';
import type { Tokenizer } from '../src/core/models/tokenizer.ts';
import type { GridDocument, GridPrompt, GridRequest } from '../src/shared/gridDocument.ts';
import { measureSgemm } from './sgemm.ts';

interface Request {
  readonly task: 'sgemm' | 'last' | 'full' | 'ablate' | 'screened' | 'residPatch' | 'attribution' | 'pathDirect';
  /** `[prompt][pos]`; the corrupted partner of prompt i is prompt i − 1. */
  readonly tokens: readonly (readonly number[])[];
  readonly answers: readonly number[];
  readonly foils: readonly number[];
}

/** Prompts are token ids: `5 17 300`. */
function idTokenizer(dVocab: number): Tokenizer {
  const ids = (text: string) => text.trim().split(' ').map(Number);
  return {
    dVocab,
    addsBos: false,
    encode: (text) => ids(text).map((id) => ({ id, text: ` ${id}`, start: 0, end: 0 })),
    encodePiece: ids,
    decode: (all) => all.join(' '),
    tokenText: (id) => ` ${id}`,
  };
}

async function open(path: string, cacheDir: string, threads: number): Promise<AnalysisEngine> {
  const model = await openModelFiles(path, { ref: path, cacheDir, availableBytes: Number.MAX_SAFE_INTEGER });
  const words: OpenModel = { ...model, tokenizer: idTokenizer(model.config.dVocab) };
  return await AnalysisEngine.open(words, { threads, cacheBytes: 64 << 20, version: 'bench' });
}

const partnerOf = (index: number, count: number) => (index + count - 1) % count;

function promptsOf({ tokens, answers, foils }: Request, pairs: boolean): GridPrompt[] {
  return tokens.map((ids, i) => ({
    clean: ids.join(' '),
    ...(pairs && { corrupted: tokens[partnerOf(i, tokens.length)].join(' ') }),
    answer: answers[i],
    foils: [foils[i]],
  }));
}

function grid(engine: AnalysisEngine, request: Request): Promise<GridDocument> {
  const pairs = request.task !== 'ablate' && request.task !== 'screened';
  const base = { model: 'bench', prompts: promptsOf(request, pairs) };
  const ablate = { ...base, analysis: 'ablate' as const, sites: 'heads' as const, mode: 'zero' as const };
  const questions: Readonly<Partial<Record<Request['task'], GridRequest>>> = {
    ablate,
    screened: { ...ablate, method: 'screened', verifyTop: 20 },
    residPatch: { ...base, analysis: 'patch', site: 'resid_pre', direction: 'denoising' },
    pathDirect: { ...base, analysis: 'path-patch', receivers: 'final', mlps: 'frozen', direction: 'noising' },
  };
  const question = questions[request.task];
  if (question === undefined) throw new Error(`There is no sweep ${request.task}.`);
  return engine.grid(question, { memoryBytes: 4e9 });
}

/** One clean forward, then forward and backward of the corrupted prompts: resid_pre and z of every layer. `[layer][pos | head]` */
async function attribution({ runner }: AnalysisEngine, { tokens, answers, foils }: Request): Promise<number[]> {
  const { nLayers } = runner.config;
  const names = ['hook_resid_pre', 'attn.hook_z'].flatMap((hook) =>
    Array.from({ length: nLayers }, (_, layer) => `blocks.${layer}.${hook}`),
  );
  const corrupted = tokens.map((_, i) => tokens[partnerOf(i, tokens.length)]);
  const { activations: clean } = await runner.run(tokens, { hooks: names });
  const items = answers.map((id, i) => [
    {
      position: -1,
      terms: [
        { id, weight: 1 },
        { id: foils[i], weight: -1 },
      ],
    },
  ]);
  const { gradients, activations } = await backwardOf(runner).gradients(
    corrupted,
    { kind: 'linear', items },
    { hooks: names, activations: names },
  );
  return names.flatMap((name) => {
    const [gradient, own, other] = [gradients, activations, clean].map((map) => map.get(name));
    if (gradient === undefined || own === undefined || other === undefined) throw new Error(name);
    const [, count, columns] = gradient.dims;
    const byHead = gradient.dims.length === 4;
    const inner = byHead ? gradient.dims[3] : columns;
    const sums = new Array<number>(byHead ? columns : count).fill(0);
    for (let from = 0; from < gradient.data.length; from += inner) {
      const place = byHead ? (from / inner) % columns : (from / inner) % count;
      for (let i = from; i < from + inner; i += 1) sums[place] += gradient.data[i] * (other.data[i] - own.data[i]);
    }
    return sums;
  });
}

async function answer(engine: AnalysisEngine, request: Request): Promise<object> {
  if (request.task === 'sgemm') return await measureSgemm({ ...engine.model.config, threads });
  const cpu = process.cpuUsage();
  const start = performance.now();
  let check: readonly (number | null)[];
  let more = {};
  if (request.task === 'last' || request.task === 'full') {
    const positions = request.task === 'full' ? ('all' as const) : [-1];
    const { data, dims } = await engine.runner.logits(request.tokens, { positions });
    check = Array.from(data.subarray((dims[1] - 1) * dims[2]).subarray(0, 8));
  } else if (request.task === 'attribution') {
    check = await attribution(engine, request);
  } else {
    const document = await grid(engine, request);
    check = document.values.flat();
    more = { exact: document.exact.flat(), clean: document.clean.mean, forwardPasses: document.cost.forwardPasses };
  }
  const wall = performance.now() - start;
  const { user, system } = process.cpuUsage(cpu);
  return { wall_s: wall / 1e3, cpu_s: (user + system) / 1e6, check, ...more };
}

const { values } = parseArgs({
  options: { model: { type: 'string' }, cache: { type: 'string' }, threads: { type: 'string' } },
});
const threads = Number(values.threads);
const engine = await open(values.model ?? '', values.cache ?? '', threads);
const { nLayers: layers, nHeads: heads, nKeyValueHeads: keyValueHeads, dModel, dHead, mlp } = engine.model.config;
const shape = { dModel, dMlp: engine.model.config.dMlp, layers, heads, keyValueHeads, dHead, gated: mlp.gated };
process.stdout.write(`${JSON.stringify({ ready: true, layers, heads, shape })}\n`);
for await (const line of createInterface({ input: process.stdin })) {
  const reply = await answer(engine, JSON.parse(line) as Request).catch((error: unknown) => ({ error: String(error) }));
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}
await engine.close();
