import type { EnginePort } from '../../../src/extension/engineClient.ts';
import type { EngineMethod, EngineRequests, TermCheck, TraceRequest } from '../../../src/shared/engineProtocol.ts';
import { MechanistError } from '../../../src/shared/errors.ts';
import type { ModelInfo, ModelListing } from '../../../src/shared/modelInfo.ts';
import type { RequestOptions } from '../../../src/shared/rpc.ts';
import type { TraceDocument } from '../../../src/shared/traceDocument.ts';
import { makeTrace, withPropagation } from '../../support/traceFixture.ts';

const listing = (ref: string, state: ModelListing['state'], downloadBytes: number | null = null): ModelListing => ({
  ref,
  label: `${ref} Q4_1`,
  family: 'gpt2',
  licence: 'Apache-2.0',
  downloadBytes,
  state,
  note: null,
  memory: null,
});

/** Splits as the tokenizers here do: a word with the space before it is one token. */
function words(text: string): string[] {
  return text.match(/ ?[^ ]+/g) ?? [];
}

/** A trace of a prompt with real token offsets; numbers are made up. */
function traceOf(request: TraceRequest): TraceDocument {
  const tokens = words(request.prompt);
  const starts = tokens.map((_, i) => tokens.slice(0, i).join('').length);
  const placed = tokens.map((text, id) => ({ id, text, start: starts[id] ?? 0, end: (starts[id] ?? 0) + text.length }));
  const document = makeTrace({ tokens, nLayers: 2, nHeads: 2, seed: request.prompt.length });
  const trace = { ...document, prompt: request.prompt, tokens: placed, tokensInText: placed.length };
  if (request.method !== 'observable-propagation') return { ...trace, method: request.method };
  const { path, norm, view } = request;
  return withPropagation(trace, { ...(path && { path }), ...(norm && { norm }), ...(view && { view }) });
}

/** An engine in the test's own process: answers when the test lets it, remembers what it was asked. */
export class FakeEngine implements EnginePort {
  readonly asked: {
    readonly method: EngineMethod;
    readonly params: unknown;
    readonly signal: AbortSignal | undefined;
  }[] = [];
  listings: ModelListing[] = [
    listing('small-world', 'bundled'),
    listing('smollm2-135m', 'ready'),
    listing('gpt2', 'remote', 548_000_000),
    listing('gone', 'missing'),
  ];
  /** Thrown by the next trace requests. */
  failure: MechanistError | null = null;
  /** While set, traces wait for it or for their signal. */
  gate: Promise<void> | null = null;

  traces(): string[] {
    return this.asked.filter((a) => a.method === 'trace').map((a) => (a.params as TraceRequest).prompt);
  }

  async request<K extends EngineMethod>(
    method: K,
    params: EngineRequests[K]['params'],
    options: RequestOptions = {},
  ): Promise<EngineRequests[K]['result']> {
    this.asked.push({ method, params, signal: options.signal });
    await Promise.resolve();
    return (await this.#answer(method, params, options.signal)) as EngineRequests[K]['result'];
  }

  async #answer(method: EngineMethod, params: unknown, signal: AbortSignal | undefined): Promise<unknown> {
    switch (method) {
      case 'models.list':
        return this.listings;
      case 'models.load':
      case 'models.info':
        return { ref: (params as { model: string }).model, nLayers: 30, nHeads: 9 } as ModelInfo;
      case 'checkTerms':
        return (params as { terms: string[] }).terms.map(
          (text): TermCheck =>
            text.startsWith(' ')
              ? {
                  text,
                  pieces: [{ id: [...text].reduce((sum, c) => sum * 31 + c.charCodeAt(0), 0), text }],
                  suggestion: null,
                  spaced: null,
                }
              : {
                  text,
                  pieces: [
                    { id: 2, text: text.slice(0, 1) },
                    { id: 3, text: text.slice(1) },
                  ],
                  suggestion: ` ${text}`,
                  spaced: null,
                },
        );
      case 'trace':
        return await this.#trace(params as TraceRequest, signal);
      default:
        throw new MechanistError('internal', `The fake engine does not know ${method}.`);
    }
  }

  async #trace(request: TraceRequest, signal: AbortSignal | undefined): Promise<TraceDocument> {
    if (this.gate) {
      await Promise.race([
        this.gate,
        new Promise<void>((resolve) => signal?.addEventListener('abort', () => resolve())),
      ]);
    }
    if (signal?.aborted) throw new MechanistError('cancelled', 'Cancelled.');
    if (this.failure) throw this.failure;
    return traceOf(request);
  }
}

/** Lets promises and timers of zero run. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
}
