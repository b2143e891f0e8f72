import type { CommandId, PromptTarget } from '../../shared/contributions.ts';
import { bytes, signedFixed } from '../../shared/format.ts';
import { describeAbsent, type ModelChoice } from '../modelDirectory.ts';
import type { PromptState } from './promptRequests.ts';
import type { PromptSession } from './promptSession.ts';
import { propagationSentence, propagationText } from './propagationText.ts';

/** One entry of the row over a prompt. Without a command it is only read. */
export interface LensText {
  readonly title: string;
  readonly tooltip?: string;
  readonly command?: CommandId;
  readonly argument?: PromptTarget | { readonly id: string };
}

function modelText(choice: ModelChoice, state: PromptState, target: PromptTarget): LensText[] {
  if (choice.kind === 'absent') {
    const { absent } = choice;
    return [{ title: `$(warning) ${describeAbsent(absent)}` }, ...download(choice), chooseModel(target)];
  }
  const label = state.kind === 'traced' ? state.document.provenance.modelLabel : choice.label;
  const named: LensText = {
    title: choice.insteadOf ? `${label} instead of ${choice.insteadOf.name}` : label,
    tooltip: choice.insteadOf ? `${describeAbsent(choice.insteadOf)}. Choose Model…` : 'Choose Model…',
    command: 'mechanist.chooseModel',
    argument: target,
  };
  return [named, ...download(choice)];
}

function chooseModel(target: PromptTarget): LensText {
  return { title: 'Choose Model', command: 'mechanist.chooseModel', argument: target };
}

function download(choice: ModelChoice): LensText[] {
  const absent = choice.kind === 'use' ? choice.insteadOf : choice.absent;
  if (absent?.why !== 'remote') return [];
  const size = absent.downloadBytes === null ? '' : `, ${bytes(absent.downloadBytes)}`;
  return [
    { title: `Download ${absent.name}${size}`, command: 'mechanist.downloadModel', argument: { id: absent.name } },
  ];
}

/**
 * The row over a prompt: `MODEL | ␣she − ␣he = +1.60 logits | Trace | Change Observable | Change Method`. `short` leaves
 * out the model in force, which the status bar says as well, and the method, which the panel changes.
 */
export function lensTexts(session: PromptSession, prompt: number, uri: string, short = false): LensText[] {
  const target: PromptTarget = { uri, prompt };
  const state = session.state(prompt);
  const { choice } = session;
  const change: LensText[] = [
    { title: 'Change Observable', command: 'mechanist.changeObservable', argument: target },
    { title: 'Change Method', command: 'mechanist.changeMethod', argument: target },
  ];
  if (state.kind === 'blocked') return [{ title: '$(error) see the front matter' }, ...change];
  if (state.kind === 'failed') {
    const title = `$(error) ${state.error.message}`;
    return [{ title, tooltip: 'Show Log', command: 'mechanist.showLog' }, chooseModel(target), ...change];
  }
  if (choice === null) return [{ title: 'tracing…' }];
  const model = modelText(choice, state, target);
  if (choice.kind === 'absent' || state.kind === 'noModel') return model;
  const trace: LensText = { title: 'Trace', command: 'mechanist.tracePrompt', argument: target };
  if (state.kind === 'pending') return [...model, { title: 'tracing…' }, trace, ...change];
  const { observable, propagation } = state.document;
  const value = `${observable.label} = ${signedFixed(observable.value)} logits`;
  const tooltip = observable.isDefault
    ? 'No observable is named: the most likely next token minus the second'
    : 'Copy Trace as JSON';
  const said: LensText = { title: value, tooltip, command: 'mechanist.copyTrace', argument: target };
  const along: LensText[] = propagation
    ? [
        {
          title: propagationText(propagation),
          tooltip: propagationSentence(propagation, observable.label),
          command: 'mechanist.changeMethod',
          argument: target,
        },
      ]
    : [];
  if (short) return [...(choice.insteadOf ? model : []), said, ...along, trace, ...change.slice(0, 1)];
  return [...model, said, ...along, trace, ...change];
}
