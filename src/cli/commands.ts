import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { AnalysisEngine, AnalysisEngineOptions } from '../core/analyses/analysisEngine.ts';
import { downloadBytes } from '../core/models/catalogue.ts';
import type { LocatedModel, ModelStore } from '../core/models/modelStore.ts';
import { loadModel, verifyLoaded } from '../core/session/loadModel.ts';
import { MechanistError } from '../shared/errors.ts';
import { bytes } from '../shared/format.ts';
import { infoText, listText, verifyText } from './modelsOutput.ts';
import type { ModelsCommand, TraceCommand } from './parseCommand.ts';
import { ProgressLine, type Terminal } from './terminal.ts';
import { traceJson, traceText } from './traceOutput.ts';

export interface Surroundings {
  readonly store: ModelStore;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
  readonly cwd: string;
  readonly settings: Omit<AnalysisEngineOptions, 'threads'>;
  readonly cores: number;
  /** Memory that is free now. */
  readonly availableBytes: () => number;
}

/** How the result is printed. */
export interface Output {
  readonly json: boolean;
}

/** Prints a result to standard output, as JSON or in words. */
export function print({ terminal }: Surroundings, { json }: Output, value: unknown, text: string): void {
  terminal.out(json ? `${JSON.stringify(value, null, 2)}\n` : text);
}

async function readPrompt({ prompt }: TraceCommand, { terminal, cwd, signal }: Surroundings): Promise<string> {
  if ('text' in prompt) return prompt.text;
  if (prompt.file === '-') return await terminal.readStdin(signal);
  return await readFile(resolve(cwd, prompt.file), 'utf8').catch((error: unknown) => {
    throw new MechanistError(
      'bad-input',
      `The prompt file cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    );
  });
}

/** Downloads a catalogue model that is not here, and says so. */
export async function pullIfMissing(ref: string, { store, terminal, signal }: Surroundings): Promise<void> {
  if (!(await store.needsPull(ref))) return;
  const entry = await store.entry(ref);
  if (entry !== null) {
    terminal.err(
      `${ref} is not on this machine; downloading ${bytes(downloadBytes(entry) ?? 0)} (${entry.licence}).\n`,
    );
  }
  const line = new ProgressLine(terminal);
  try {
    await store.pull(ref, { signal, onProgress: line.follow('bytes') });
  } finally {
    line.clear();
  }
}

/** Opens a model, runs `job`, gives the memory back. */
export async function withModel<T>(
  ref: string,
  threads: number,
  surroundings: Surroundings,
  job: (engine: AnalysisEngine, located: LocatedModel) => Promise<T>,
): Promise<T> {
  const { store, signal, terminal, settings, cores } = surroundings;
  const line = new ProgressLine(terminal);
  try {
    const load = { ...settings, threads: threads || cores };
    const located = await store.locate(ref);
    const engine = await loadModel(store, located, load, { signal, onProgress: line.follow('share') });
    line.clear();
    try {
      return await job(engine, located);
    } finally {
      await engine.close();
    }
  } finally {
    line.clear();
  }
}

/** `mechanist trace`. @returns the exit code. */
export async function runTrace(command: TraceCommand & Output, surroundings: Surroundings): Promise<number> {
  const prompt = await readPrompt(command, surroundings);
  const { model, observable, position, method, top, steps, path, norm, view, threads } = command;
  await pullIfMissing(model, surroundings);
  const line = new ProgressLine(surroundings.terminal);
  const document = await withModel(model, threads, surroundings, async (engine) => {
    const request = { model, prompt, observable, position, method, top, steps, path, norm, view };
    try {
      return await engine.trace(request, { signal: surroundings.signal, onProgress: line.follow('passes') });
    } finally {
      line.clear();
    }
  });
  for (const warning of document.warnings) surroundings.terminal.err(`warning: ${warning}\n`);
  print(surroundings, command, traceJson(document), traceText(document));
  return 0;
}

async function verify(command: ModelsCommand & Output, surroundings: Surroundings): Promise<number> {
  await pullIfMissing(command.model, surroundings);
  const line = new ProgressLine(surroundings.terminal);
  const report = await withModel(command.model, command.threads, surroundings, async (engine, located) => {
    try {
      return await verifyLoaded(engine, surroundings.store, located, {
        signal: surroundings.signal,
        onProgress: line.follow('passes'),
      });
    } finally {
      line.clear();
    }
  });
  print(surroundings, command, report, verifyText(report));
  return report.passed ? 0 : 1;
}

/** `mechanist models …`. @returns the exit code. */
export async function runModels(command: ModelsCommand & Output, surroundings: Surroundings): Promise<number> {
  const { store, terminal, signal } = surroundings;
  switch (command.action) {
    case 'list': {
      const listings = await store.list();
      print(surroundings, command, listings, listText(listings));
      return 0;
    }
    case 'pull': {
      const line = new ProgressLine(terminal);
      try {
        const info = await store.pull(command.model, { signal, onProgress: line.follow('bytes') });
        line.clear();
        print(surroundings, command, info, `${info.label} is on this machine.\n`);
      } finally {
        line.clear();
      }
      return 0;
    }
    case 'info': {
      const info = await store.info(command.model);
      print(surroundings, command, info, infoText(info));
      return 0;
    }
    case 'add': {
      const info = await store.add(command.model);
      print(surroundings, command, info, `${info.label} is in the list now: ${info.ref}\n`);
      return 0;
    }
    case 'verify':
      return await verify(command, surroundings);
  }
}
