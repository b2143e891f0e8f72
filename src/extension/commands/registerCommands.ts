import * as vscode from 'vscode';
import type { CommandId, Commands } from '../../shared/contributions.ts';
import { ablate } from './ablate.ts';
import { addModel } from './addModel.ts';
import { changeMethod } from './changeMethod.ts';
import { changeObservable } from './changeObservable.ts';
import { chooseModel } from './chooseModel.ts';
import type { CommandContext } from './commandContext.ts';
import { copyTrace } from './copyTrace.ts';
import { downloadModel } from './downloadModel.ts';
import { patch } from './patch.ts';
import { patchPaths } from './patchPaths.ts';
import { runExperiment } from './runExperiment.ts';
import { steer } from './steer.ts';
import { studyObservable } from './studyObservable.ts';
import { tracePrompt } from './tracePrompt.ts';

type Handler<K extends CommandId> = (context: CommandContext, argument: Commands[K]) => unknown;

const handlers: { readonly [K in CommandId]: Handler<K> } = {
  'mechanist.tracePrompt': tracePrompt,
  'mechanist.ablate': ablate,
  'mechanist.patch': patch,
  'mechanist.patchPaths': patchPaths,
  'mechanist.runExperiment': runExperiment,
  'mechanist.steer': steer,
  'mechanist.studyObservable': studyObservable,
  'mechanist.changeObservable': changeObservable,
  'mechanist.changeMethod': changeMethod,
  'mechanist.addModel': addModel,
  'mechanist.chooseModel': chooseModel,
  'mechanist.downloadModel': downloadModel,
  'mechanist.copyTrace': copyTrace,
  'mechanist.openTraceAtToken': tracePrompt,
  'mechanist.showLog': ({ messages }) => messages.showLog(),
  'mechanist.restartEngine': ({ engine, models }) => {
    engine.restart();
    models.refresh();
  },
};

/** A menu passes a resource instead of our argument; that means "the active editor". */
function ownArgument(argument: unknown): unknown {
  return typeof argument === 'object' && argument !== null && ('uri' in argument || 'id' in argument)
    ? argument
    : undefined;
}

/** Registers every command that package.json declares. What a command throws is shown, once, here. */
export function registerCommands(context: CommandContext): vscode.Disposable {
  const run = (id: CommandId, argument: unknown) =>
    context.messages.guard(() => (handlers[id] as Handler<CommandId>)(context, ownArgument(argument) as never));
  const ids = Object.keys(handlers) as CommandId[];
  return vscode.Disposable.from(
    ...ids.map((id) => vscode.commands.registerCommand(id, (argument) => run(id, argument))),
  );
}
