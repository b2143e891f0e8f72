import { withNamedObservable } from '../../core/tasks/namedObservables.ts';
import { type PromptFile, parsePromptFile } from '../../core/tasks/promptFile.ts';
import type { TraceRequest } from '../../shared/engineProtocol.ts';
import { isCancelled, type MechanistError } from '../../shared/errors.ts';
import type { OnProgress } from '../../shared/progress.ts';
import type { LensTable, TraceDocument } from '../../shared/traceDocument.ts';
import { asMechanistError } from '../asMechanistError.ts';
import { Emitter } from '../emitter.ts';
import type { EnginePort } from '../engineClient.ts';
import type { ModelChoice, ModelDirectory } from '../modelDirectory.ts';
import type { PromptSettings } from '../settings.ts';
import { hasErrors, namedModel, prepareFile } from './prepareFile.ts';
import { type FileProblem, type PromptState, promptProblems, requestFor } from './promptRequests.ts';
import { moveShown, placeTokens, type ShownPrompt, type TextChange } from './shownTokens.ts';
import { scaleEnd } from './tint.ts';
import { TraceStore, traceKey } from './traceStore.ts';

/** The document behind a session, without vscode. */
export interface SessionSource {
  text(): string;
  /** Folder of the file; null while it is unsaved. */
  readonly folder: string | null;
  settings(): PromptSettings;
  /** Ranges on screen, in document offsets; their prompts are traced first. */
  visible(): readonly { readonly start: number; readonly end: number }[];
}

/** Prompts that are not on screen are traced too, up to this many, so that scrolling shows finished ones. */
const mostHiddenPrompts = 40;
const mostOnScreen = 200;

/** One prompt file that is kept traced while it is edited: debounced, last edit wins, what is on screen first. */
export class PromptSession {
  readonly #source: SessionSource;
  readonly #models: ModelDirectory;
  readonly #store: TraceStore;
  readonly #changed = new Emitter<void>();
  #file: PromptFile;
  #settings: PromptSettings;
  #choice: ModelChoice | null = null;
  /** The name for which `#choice` was made. */
  #named: string | null = null;
  #preparing: Promise<void> | null = null;
  #run = 0;
  #states: PromptState[] = [];
  #engineProblems: readonly FileProblem[] = [];
  #shown: ShownPrompt[] = [];
  #scaleMax = 1;
  #generation = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stale = true;
  #failure: MechanistError | null = null;

  constructor(source: SessionSource, port: EnginePort, models: ModelDirectory) {
    this.#source = source;
    this.#models = models;
    this.#store = new TraceStore(port);
    this.#settings = source.settings();
    this.#file = this.#read();
    this.#reset('pending');
  }

  /** Anything that can be seen of this session has changed. */
  readonly onDidChange = this.#changed.event;

  get file(): PromptFile {
    return this.#file;
  }

  get choice(): ModelChoice | null {
    return this.#choice;
  }

  get settings(): PromptSettings {
    return this.#settings;
  }

  /** What kept every prompt from being traced, if something did (engine, model that cannot be opened). */
  get failure(): MechanistError | null {
    return this.#failure;
  }

  get shown(): readonly ShownPrompt[] {
    return this.#shown;
  }

  /** End of the tint's scale in logits, the same for all prompts of the file. */
  get scaleMax(): number {
    return this.#scaleMax;
  }

  /** True from an edit until the file has been read again. */
  get isStale(): boolean {
    return this.#stale;
  }

  state(prompt: number): PromptState {
    return this.#states[prompt] ?? { kind: 'pending' };
  }

  problems(): FileProblem[] {
    const own = this.#failure === null ? promptProblems(this.#file, this.#states, this.#settings) : [];
    return [...this.#file.problems, ...this.#engineProblems, ...own];
  }

  /** The text has changed: tints move along at once, tracing follows after the delay. */
  edited(changes: readonly TextChange[]): void {
    this.#shown = moveShown(this.#shown, changes);
    this.#stale = true;
    this.#generation++;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.refresh(), this.#settings.updateDelayMs);
  }

  /** Reads the file again now and traces what is new. Old tints stay until the new ones are there. */
  refresh(): void {
    clearTimeout(this.#timer);
    this.#settings = this.#source.settings();
    this.#file = this.#read();
    this.#stale = false;
    this.#failure = null;
    this.#engineProblems = [];
    const generation = ++this.#generation;
    this.#reset('pending');
    this.#dropOrphans();
    if (!hasErrors(this.#file)) this.#restore();
    this.#changed.fire();
    void this.#update(generation);
  }

  /** Models or the engine have changed: nothing that was computed counts any more. */
  reload(): void {
    this.#store.clear();
    this.refresh();
  }

  /** More of the file is on screen: its prompts go first. */
  visibleChanged(): void {
    if (!this.#stale && this.#choice?.kind === 'use') void this.#traceAll(this.#generation, this.#choice.ref);
  }

  /** The question of a prompt, once the model is known and the front matter is right. */
  request(prompt: number): TraceRequest | null {
    const section = this.#file.prompts[prompt];
    if (!section || this.#choice?.kind !== 'use' || this.#states[prompt]?.kind === 'blocked') return null;
    return requestFor(this.#file, section, this.#choice.ref, this.#settings);
  }

  /** Answer to any question about a prompt of this file; from memory if it was asked before. */
  trace(request: TraceRequest, signal?: AbortSignal, onProgress?: OnProgress): Promise<TraceDocument> {
    return this.#store.trace(request, signal, onProgress);
  }

  lens(request: TraceRequest, position: number, signal?: AbortSignal): Promise<LensTable> {
    return this.#store.lens(request, position, signal);
  }

  /** Traces one prompt now, also if it failed before. Null when it cannot be traced; `problems` says why. */
  async traced(prompt: number, signal?: AbortSignal): Promise<TraceDocument | null> {
    if (this.#stale || this.#failure !== null) this.refresh();
    await this.settled(signal);
    if (this.#failure !== null) throw this.#failure;
    const request = this.request(prompt);
    if (!request) return null;
    const generation = this.#generation;
    const document = await this.#store.trace(request, signal);
    if (generation === this.#generation) this.#finish(prompt, { kind: 'traced', document });
    return document;
  }

  /** Resolves when the model is known and the front matter has been checked. */
  async settled(signal?: AbortSignal): Promise<void> {
    while (this.#preparing && !signal?.aborted) await this.#preparing;
  }

  dispose(): void {
    this.#generation++;
    clearTimeout(this.#timer);
    this.#store.clear();
    this.#changed.dispose();
  }

  async #update(generation: number): Promise<void> {
    const preparing = this.#prepare(generation);
    this.#preparing = preparing;
    await preparing;
    if (this.#preparing === preparing) this.#preparing = null;
    if (generation !== this.#generation) return;
    this.#changed.fire();
    if (this.#choice?.kind === 'use' && this.#failure === null) await this.#traceAll(generation, this.#choice.ref);
  }

  /** Chooses the model and checks what only the engine can check. Never rejects. */
  async #prepare(generation: number): Promise<void> {
    const { folder } = this.#source;
    const question = { file: this.#file, settings: this.#settings, folder };
    try {
      const prepared = await prepareFile(question, this.#models);
      if (generation !== this.#generation) return;
      this.#named = namedModel(this.#file, this.#settings);
      this.#choice = prepared.choice ?? this.#choice;
      this.#engineProblems = prepared.problems;
      if (prepared.kind === 'ready') return;
      this.#shown = [];
      this.#reset(prepared.kind);
    } catch (error) {
      if (generation !== this.#generation) return;
      const failure = asMechanistError(error);
      this.#failure = failure;
      this.#states = this.#file.prompts.map(() => ({ kind: 'failed', error: failure }));
    }
  }

  /** Prompts worth tracing: those on screen, then those nearest the top. */
  #candidates(): number[] {
    const ranges = this.#source.visible();
    const onScreen: number[] = [];
    const hidden: number[] = [];
    this.#file.prompts.forEach((prompt, i) => {
      if (ranges.some((range) => range.start <= prompt.end && range.end >= prompt.start)) onScreen.push(i);
      else if (hidden.length < mostHiddenPrompts) hidden.push(i);
    });
    return [...onScreen.slice(0, mostOnScreen), ...hidden];
  }

  /** Traces what is still pending; started again when other prompts come on screen, which ends the run before. */
  async #traceAll(generation: number, ref: string): Promise<void> {
    const run = ++this.#run;
    const questions = this.#candidates().flatMap((index) => {
      const prompt = this.#file.prompts[index];
      return prompt ? [{ index, request: requestFor(this.#file, prompt, ref, this.#settings) }] : [];
    });
    this.#store.keepOnly(new Set(questions.map((q) => traceKey(q.request))));
    for (const { index, request } of questions) {
      if (this.#states[index]?.kind !== 'pending') continue;
      try {
        const document = await this.#store.trace(request);
        if (generation === this.#generation) this.#finish(index, { kind: 'traced', document });
      } catch (error) {
        if (generation === this.#generation && !isCancelled(error)) {
          this.#finish(index, { kind: 'failed', error: asMechanistError(error) });
        }
      }
      if (run !== this.#run || generation !== this.#generation) return;
    }
    this.#rescale(true);
  }

  /** Prompts that were not touched by the edit keep their numbers: no flicker. */
  #restore(): void {
    if (this.#choice?.kind !== 'use' || this.#named !== namedModel(this.#file, this.#settings)) return;
    for (const index of this.#candidates()) {
      const prompt = this.#file.prompts[index];
      const request = prompt && requestFor(this.#file, prompt, this.#choice.ref, this.#settings);
      const document = request && this.#store.peek(traceKey(request));
      if (document) this.#states[index] = { kind: 'traced', document };
    }
  }

  #finish(index: number, state: PromptState): void {
    const prompt = this.#file.prompts[index];
    if (!prompt) return;
    this.#states[index] = state;
    this.#shown = this.#shown.filter((s) => s.end < prompt.start || s.start > prompt.end);
    if (state.kind === 'traced') this.#shown.push(placeTokens(prompt, state.document));
    this.#rescale(false);
    this.#changed.fire();
  }

  #rescale(settled: boolean): void {
    const max = scaleEnd(this.#shown, this.#scaleMax, settled);
    if (max === this.#scaleMax) return;
    this.#scaleMax = max;
    if (settled) this.#changed.fire();
  }

  #read(): PromptFile {
    return withNamedObservable(parsePromptFile(this.#source.text()), this.#settings.observables);
  }

  #reset(kind: 'pending' | 'blocked' | 'noModel'): void {
    this.#states = this.#file.prompts.map(() => ({ kind }));
  }

  /** Tints of prompts that are no longer there. */
  #dropOrphans(): void {
    this.#shown = this.#shown.filter((s) => this.#file.prompts.some((p) => p.start <= s.end && p.end >= s.start));
  }
}
