import { execFileSync } from 'node:child_process';

/** What `mechanist trace --json` prints, as far as these tests read it. */
export interface TraceOutput {
  readonly tokens: readonly { readonly id: number; readonly text: string }[];
  readonly top: readonly { readonly id: number; readonly text: string; readonly logprob: number }[];
  readonly observable: { readonly value: number; readonly label: string };
  readonly attributions: readonly { readonly pos: number; readonly value: number }[];
  readonly provenance: { readonly modelLabel: string; readonly hash: string };
}

/** A prompt as the command line is asked about it. */
export interface Question {
  readonly prompt: string;
  readonly model: string;
  readonly observable: Readonly<Record<string, number>>;
  readonly method?: 'direct' | 'occlusion';
}

/** Asks the command line `cli` (a built `cli.cjs`). */
export function traceByCommandLine(cli: string, question: Question, env: NodeJS.ProcessEnv = {}): TraceOutput {
  const { prompt, model, observable, method = 'direct' } = question;
  const args = [cli, 'trace', prompt, '--model', model, '--observable', JSON.stringify(observable)];
  const text = execFileSync(process.execPath, [...args, '--method', method, '--json'], {
    encoding: 'utf8',
    env: { ...process.env, ...env },
    timeout: 240_000,
  });
  return JSON.parse(text);
}

/** Whether the command line `cli` has a model on this machine. */
export function hasModel(cli: string, model: string): boolean {
  const text = execFileSync(process.execPath, [cli, 'models', 'list', '--json'], { encoding: 'utf8', timeout: 60_000 });
  const listed: { ref: string; state: string }[] = JSON.parse(text);
  return listed.some(({ ref, state }) => ref === model && (state === 'ready' || state === 'bundled'));
}
