import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { stripVTControlCharacters } from 'node:util';
import { killGroup } from '../../tools/vscode-host/host.mjs';

interface ProcessLine {
  readonly pid: number;
  readonly parent: number;
  readonly command: string;
}

function processes(): ProcessLine[] {
  return execFileSync('ps', ['-eo', 'pid=,ppid=,args='], { encoding: 'utf8' })
    .trim()
    .split('\n')
    .map((line) => {
      const [pid, parent, ...command] = line.trim().split(/\s+/);
      return { pid: Number(pid), parent: Number(parent), command: command.join(' ') };
    });
}

/** Ids of all engine processes below the process `root`. */
export function engineProcesses(root: number): number[] {
  const all = processes();
  const inside = new Set([root]);
  for (let before = 0; before !== inside.size; ) {
    before = inside.size;
    for (const { pid, parent } of all) if (inside.has(parent)) inside.add(pid);
  }
  return all.filter(({ pid, command }) => inside.has(pid) && /engine\.cjs/.test(command)).map(({ pid }) => pid);
}

/** A program that was started in a process group of its own. */
export interface StartedProgram {
  readonly pid: number;
  /** What it wrote so far, both streams. */
  output(): string;
  /** First line of standard output that matches. Fails when the program ends before. */
  line(pattern: RegExp, timeoutMs: number): Promise<string>;
  /** Sends SIGINT, as Ctrl+C does, and waits for the end; exit code. */
  interrupt(): Promise<number | null>;
  stop(): Promise<void>;
}

/** Starts a program the way a terminal does, in its own process group. */
export function startProgram(command: string, args: readonly string[], env: NodeJS.ProcessEnv): StartedProgram {
  const child: ChildProcess = spawn(command, [...args], { env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let all = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    out += text;
    all += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    all += text;
  });
  const exited = new Promise<number | null>((done) => child.once('exit', done));
  const { pid } = child;
  if (pid === undefined) throw new Error(`${command} could not be started.`);
  return {
    pid,
    output: () => all,
    line: async (pattern, timeoutMs) => {
      const deadline = Date.now() + timeoutMs;
      while (Date.now() < deadline) {
        const found = stripVTControlCharacters(out)
          .split('\n')
          .find((line) => pattern.test(line));
        if (found !== undefined) return found.trim();
        if (child.exitCode !== null) throw new Error(`${command} ended with code ${child.exitCode}:\n${all}`);
        await new Promise((done) => setTimeout(done, 200));
      }
      throw new Error(`${command} did not print ${pattern} within ${timeoutMs / 1000} s:\n${all}`);
    },
    interrupt: () => {
      process.kill(-pid, 'SIGINT');
      return exited;
    },
    stop: () => killGroup(child),
  };
}
