import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { directionFromJson } from '../core/tasks/steerDirection.ts';
import { MechanistError } from '../shared/errors.ts';
import { share, signed, visibleToken } from '../shared/format.ts';
import type { SteerDirection, SteerDocument } from '../shared/steerDocument.ts';
import { type Output, print, pullIfMissing, type Surroundings, withModel } from './commands.ts';
import type { SteerCommand } from './parseSteer.ts';
import { table } from './table.ts';

/** Next tokens in a row of the table for people. */
const SHOWN_TOKENS = 4;

async function readDirection(direction: SteerCommand['direction'], cwd: string): Promise<SteerDirection> {
  if (direction.kind !== 'file') return direction;
  const { file } = direction;
  const text = await readFile(resolve(cwd, file), 'utf8').catch((error: Error) => {
    throw new MechanistError('bad-input', `${file} is no direction: ${error.message}`);
  });
  return directionFromJson(text, file);
}

function steerText({ metric, intervention, provenance, clean, steered }: SteerDocument): string {
  const row = (name: string, { value, kl, next }: SteerDocument['clean']) => [
    name,
    signed(value),
    signed(kl),
    next
      .slice(0, SHOWN_TOKENS)
      .map(({ text, logprob }) => `${visibleToken(text)} ${share(Math.exp(logprob))}`)
      .join('  '),
  ];
  return [
    metric.label,
    `${provenance.modelLabel} · ${intervention} · #${provenance.hash}`,
    '',
    table(
      [
        { title: 'factor', align: 'right' },
        { title: metric.unit, align: 'right' },
        { title: 'KL, nats', align: 'right' },
        { title: 'next', align: 'left' },
      ],
      [row('none', clean), ...steered.map((one) => row(String(one.factor), one))],
    ),
    '',
  ].join('\n');
}

/** `mechanist steer`. @returns the exit code. */
export async function runSteer(command: SteerCommand & Output, surroundings: Surroundings): Promise<number> {
  const direction = await readDirection(command.direction, surroundings.cwd);
  await pullIfMissing(command.request.model, surroundings);
  const { signal } = surroundings;
  const document = await withModel(command.request.model, command.threads, surroundings, (engine) =>
    engine.steer({ ...command.request, direction }, { signal }),
  );
  for (const warning of document.warnings) surroundings.terminal.err(`warning: ${warning}\n`);
  print(surroundings, command, document, steerText(document));
  return 0;
}
