import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
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
  const wrong = (why: string) => new MechanistError('bad-input', `${direction.file} is no direction: ${why}`);
  const text = await readFile(resolve(cwd, direction.file), 'utf8').catch((error: Error) => {
    throw wrong(error.message);
  });
  let values: unknown;
  try {
    values = JSON.parse(text);
  } catch (error) {
    throw wrong((error as Error).message);
  }
  if (!Array.isArray(values) || !values.every((value) => typeof value === 'number')) {
    throw wrong('it is a JSON list of numbers, one for each dimension.');
  }
  return { kind: 'vector', values };
}

function steerText({ metric, intervention, provenance, clean, steered }: SteerDocument): string {
  const row = (name: string, { value, next }: SteerDocument['clean']) => [
    name,
    signed(value),
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
