import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { sweepMemory } from '../core/analyses/sweepMemory.ts';
import { writeFileAtomically } from '../core/models/writeFileAtomically.ts';
import { MechanistError } from '../shared/errors.ts';
import { withCells } from '../shared/gridCells.ts';
import type { GridCell, GridDocument } from '../shared/gridDocument.ts';
import { gridFromJson, gridToJson } from '../shared/gridFile.ts';
import { type Output, print, pullIfMissing, type Surroundings, withModel } from './commands.ts';
import { gridJson, gridText } from './gridOutput.ts';
import type { SweepCommand } from './parseSweep.ts';
import { readPrompts, withCorruption } from './sweepPrompts.ts';
import { ProgressLine } from './terminal.ts';

/** Time between two writings of a result that is not finished, in milliseconds: what a killed process loses. */
const SAVE_MS = 3000;
/** How much longer than a writing the time to the next one is: large results are written less often. */
const SAVE_PAUSE = 20;

async function readText(file: string, what: string): Promise<string> {
  return await readFile(file, 'utf8').catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new MechanistError('bad-input', `${what} cannot be read: ${reason}`);
  });
}

/** Keeps the document of a running sweep, and writes it now and then so that a killed process loses little. */
class ResultFile {
  document: GridDocument | undefined;
  private cells: GridCell[] = [];
  /** When to write next: at the first cells, so that a file that cannot be written is noticed early. */
  private due = 0;

  constructor(private readonly file: string | null) {}

  readonly listeners = {
    onStarted: (document: GridDocument): void => {
      this.document = document;
    },
    onCells: (cells: readonly GridCell[]): void => {
      this.cells.push(...cells);
    },
  };

  private current(): GridDocument | undefined {
    if (this.document === undefined) return undefined;
    this.document = withCells(this.document, this.cells);
    this.cells = [];
    return this.document;
  }

  async saveNowAndThen(): Promise<void> {
    if (this.file === null || this.cells.length === 0 || Date.now() < this.due) return;
    await this.save();
  }

  async save(document = this.current()): Promise<void> {
    if (this.file === null || document === undefined) return;
    const started = Date.now();
    await writeFileAtomically(this.file, gridToJson(document));
    const now = Date.now();
    this.due = now + Math.max(SAVE_MS, SAVE_PAUSE * (now - started));
  }
}

/** `mechanist ablate`, `patch`, `path-patch`. @returns the exit code. */
export async function runSweep(command: SweepCommand & Output, surroundings: Surroundings): Promise<number> {
  const { terminal, signal, cwd, availableBytes } = surroundings;
  const { question } = command;
  const prompts = await readPrompts(command.prompts, surroundings);
  const resume =
    command.resume === null
      ? undefined
      : gridFromJson(await readText(resolve(cwd, command.resume), 'The file to resume'));
  await pullIfMissing(question.model, surroundings);
  const result = new ResultFile(command.out === null ? null : resolve(cwd, command.out));
  const line = new ProgressLine(terminal);
  try {
    const document = await withModel(question.model, command.threads, surroundings, async (engine) => {
      const context = { signal, onProgress: line.follow('cells'), giveWay: () => result.saveNowAndThen() };
      const options = { resume, memoryBytes: sweepMemory(availableBytes()), ...result.listeners };
      const whole = await withCorruption(prompts, command, engine, surroundings);
      return await engine.grid({ ...question, prompts: whole }, options, context);
    });
    line.clear();
    await result.save(document);
    for (const warning of document.warnings) terminal.err(`warning: ${warning}\n`);
    print(surroundings, command, gridJson(document), gridText(document));
    return 0;
  } catch (error) {
    line.clear();
    await result.save();
    throw error;
  }
}
