import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const ROOT = join(import.meta.dirname, '..');

/** A process that answers one JSON line to each. */
export class LineEngine {
  constructor(name, command, commandArgs) {
    this.name = name;
    this.startedAt = performance.now();
    // Ours gets what the extension gives its engine process (src/extension/engineClient.ts); torch has an allocator of its own.
    const allocator = { MALLOC_MMAP_THRESHOLD_: String(32 << 20), MALLOC_TRIM_THRESHOLD_: String(512 << 20) };
    const env = name === 'ours' ? { ...allocator, ...process.env } : process.env;
    this.child = spawn(command, commandArgs, { cwd: ROOT, env, stdio: ['pipe', 'pipe', 'inherit'] });
    this.waiting = [];
    this.lines = [];
    this.ended = new Promise((resolve) => {
      this.child.on('exit', (code) => {
        for (const { reject } of this.waiting.splice(0)) reject(new Error(`${name} ended with code ${code}`));
        resolve();
      });
    });
    createInterface({ input: this.child.stdout }).on('line', (line) => {
      if (!line.startsWith('{')) return;
      const waiter = this.waiting.shift();
      if (waiter) waiter.resolve(JSON.parse(line));
      else this.lines.push(JSON.parse(line));
    });
  }

  answer() {
    const line = this.lines.shift();
    if (line) return Promise.resolve(line);
    return new Promise((resolve, reject) => this.waiting.push({ resolve, reject }));
  }

  /** Seconds from the start of the process to its first logits, with what it says of itself. */
  async ready() {
    const hello = await this.answer();
    return { ...hello, wall_s: (performance.now() - this.startedAt) / 1000 };
  }

  async ask(request) {
    this.child.stdin.write(`${JSON.stringify(request)}\n`);
    const answer = await this.answer();
    if (answer.error) throw new Error(`${this.name}: ${answer.error}`);
    return answer;
  }

  async close() {
    this.child.stdin.end();
    await this.ended;
  }
}
