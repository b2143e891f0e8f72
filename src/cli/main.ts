/** The command line: core in this process. */
import { readFileSync } from 'node:fs';
import { availableParallelism, freemem, homedir } from 'node:os';
import { addAbortSignal } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { cacheFolder } from '../core/models/cacheFolder.ts';
import { createModelStore } from '../core/session/createModelStore.ts';
import { isCancelled, MechanistError } from '../shared/errors.ts';
import { runModels, runTrace, type Surroundings } from './commands.ts';
import { runDataset } from './dataset.ts';
import { runExperimentFile } from './experiment.ts';
import { type Command, parseCommand } from './parseCommand.ts';
import { runSteer } from './steer.ts';
import { runSweep } from './sweeps.ts';
import type { Terminal } from './terminal.ts';
import { UsageError, usage } from './usage.ts';

/** Exit code of a program that was stopped with Ctrl+C. */
const INTERRUPTED = 130;
/** Limit of remembered activations; one command asks one question. */
const ACTIVATION_CACHE_BYTES = 256e6;

/** Built to `dist/`, beside `models/` and `package.json`. */
const packageFile = new URL('../package.json', import.meta.url);
const bundledDir = fileURLToPath(new URL('../models', import.meta.url));

function version(): string {
  return (JSON.parse(readFileSync(packageFile, 'utf8')) as { version: string }).version;
}

async function readStdin(signal: AbortSignal): Promise<string> {
  let text = '';
  addAbortSignal(signal, process.stdin);
  process.stdin.setEncoding('utf8');
  for await (const chunk of process.stdin) text += chunk;
  return text;
}

const terminal: Terminal = {
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  interactive: process.stderr.isTTY === true,
  readStdin,
};

function availableBytes(): number {
  return typeof process.availableMemory === 'function' ? process.availableMemory() : freemem();
}

function surroundings(signal: AbortSignal): Surroundings {
  const cwd = process.cwd();
  const cacheDir = cacheFolder(process.env, process.platform, homedir());
  const hubUrl = process.env.HF_ENDPOINT;
  return {
    store: createModelStore({ cacheDir, bundledDir, cwd, hubUrl, availableBytes }),
    terminal,
    signal,
    cwd,
    settings: { cacheBytes: ACTIVATION_CACHE_BYTES, version: version() },
    cores: availableParallelism(),
    availableBytes,
  };
}

async function run(command: Command, signal: AbortSignal): Promise<number> {
  switch (command.kind) {
    case 'help':
      terminal.out(usage);
      return 0;
    case 'version':
      terminal.out(`${version()}\n`);
      return 0;
    case 'trace':
      return await runTrace(command, surroundings(signal));
    case 'models':
      return await runModels(command, surroundings(signal));
    case 'steer':
      return await runSteer(command, surroundings(signal));
    case 'run':
      return await runExperimentFile(command, surroundings(signal));
    case 'dataset':
      return await runDataset(command, surroundings(signal));
    case 'sweep':
      return await runSweep(command, surroundings(signal));
  }
}

/** One line that says what happened; the stack only on request. */
function tell(error: unknown, debug: boolean): number {
  if (error instanceof UsageError) {
    terminal.err(`mechanist: ${error.message}\n\n${usage}`);
    return 2;
  }
  if (isCancelled(error)) return INTERRUPTED;
  const message = error instanceof Error ? error.message : String(error);
  const hint = error instanceof MechanistError ? '' : ' (unexpected; --debug shows where)';
  terminal.err(`mechanist: ${message.replaceAll(/\s*\n\s*/g, ' ')}${hint}\n`);
  if (debug && error instanceof Error) terminal.err(`${error.stack ?? ''}\n`);
  return 1;
}

async function main(args: readonly string[]): Promise<number> {
  const controller = new AbortController();
  process.on('SIGINT', () => {
    // A second Ctrl+C does not wait for the forward pass that is running.
    if (controller.signal.aborted) process.exit(INTERRUPTED);
    controller.abort();
  });
  try {
    return await run(parseCommand(args), controller.signal);
  } catch (error) {
    return tell(error, args.includes('--debug'));
  }
}

// A reader that closes early (`| head`) is no failure.
process.stdout.on('error', () => process.exit(0));
void main(process.argv.slice(2)).then((code) => {
  process.exitCode = code;
});
