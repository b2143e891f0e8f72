import { basename } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import * as vscode from 'vscode';
import { type NamedSpecs, observableName } from '../../core/tasks/namedObservables.ts';
import type { StudyTarget } from '../../shared/contributions.ts';
import { MechanistError } from '../../shared/errors.ts';
import { exists } from '../files.ts';
import { partnersIn } from '../grid/sweep.ts';
import { namedModel } from '../promptLanguage/prepareFile.ts';
import {
  headsByDifference,
  type StudyPair,
  type StudyRun,
  studyAnswer,
  studyDataset,
  unflipped,
} from '../study/studyPairs.ts';
import { possibleStudies, type Study, type StudyContext, studyExperiment } from '../study/studySteps.ts';
import { writeAtomically } from '../trace/saveExport.ts';
import type { CommandContext } from './commandContext.ts';
import { runExperiment } from './runExperiment.ts';
import { type Begun, beginSweep } from './sweepSteps.ts';

const title = 'Study Observable';

/** Everything a study is made from. */
interface Studied {
  readonly begun: Begun;
  readonly spec: Readonly<Record<string, number>>;
  readonly pairs: readonly StudyPair[];
}

const unpaired =
  'A study compares pairs, and there is no corrupted prompt. Write corrupted: into the front matter: one text, or a list with one for each prompt.';

/** Traces both sides of every pair: their tokens, and the observable on each. Two forward passes a pair. */
async function tracePairs(context: CommandContext, begun: Begun): Promise<readonly StudyPair[]> {
  const { session } = begun;
  const corrupted = partnersIn(session.file, unpaired);
  const pairs = await context.messages.runWithProgress('Reading the pairs', async (signal, onProgress) => {
    const read: StudyPair[] = [];
    for (const [i, partner] of corrupted.entries()) {
      onProgress({ done: i, total: corrupted.length, label: `prompt ${i + 1}` });
      const request = session.request(i);
      if (request === null) continue;
      const runOf = async (prompt: string): Promise<StudyRun> => {
        const { path, norm, view, ...asked } = request;
        const { tokens, observable, direct } = await session.trace({ ...asked, method: 'direct', prompt }, signal);
        return { text: prompt, tokens, value: observable.value, bySource: direct.bySource };
      };
      read.push({ prompt: i + 1, clean: await runOf(request.prompt), corrupted: await runOf(partner) });
    }
    return read;
  });
  if (pairs === undefined) throw new MechanistError('cancelled', 'Cancelled.');
  return pairs;
}

async function beginStudy(context: CommandContext, given: StudyTarget | undefined): Promise<Studied> {
  const begun = await beginSweep(context, given);
  if (begun.document.uri.scheme !== 'file') {
    throw new MechanistError('bad-input', 'Save the prompt file first: the study is written beside it.');
  }
  const spec = begun.session.file.frontMatter?.observable?.value;
  if (spec === undefined) {
    const message = 'There is no observable to study. Write observable: into the front matter.';
    throw new MechanistError('bad-input', message);
  }
  return { begun, spec, pairs: await tracePairs(context, begun) };
}

async function askStudies(
  possible: readonly Study[],
  { pairs }: Studied,
  given: StudyTarget | undefined,
): Promise<readonly Study[]> {
  const { analyses } = given ?? {};
  if (analyses) return possible.filter(({ run }) => analyses.includes(run));
  const items = possible.map((study) => ({
    ...{ label: study.label, description: study.run, detail: study.detail },
    ...{ picked: study.usual === true, study },
  }));
  const doubt = unflipped(pairs) === null ? '' : ': not every pair flips its sign';
  const picked = await vscode.window.showQuickPick(items, {
    ...{ title: `${title}${doubt}`, canPickMany: true, matchOnDetail: true },
    placeHolder: 'What is asked of it: steps of an experiment',
  });
  if (!picked || picked.length === 0) throw new MechanistError('cancelled', 'Cancelled.');
  return picked.map(({ study }) => study);
}

const experimentEnding = '.experiment.yaml';

/** `NAME.jsonl` and `NAME.experiment.yaml` beside the prompt file. */
function filesNamed({ document }: Begun, name: string): { data: vscode.Uri; experiment: vscode.Uri } {
  const beside = (file: string) => vscode.Uri.joinPath(document.uri, '..', file);
  return { data: beside(`${name}.jsonl`), experiment: beside(`${name}${experimentEnding}`) };
}

async function isFree(begun: Begun, name: string): Promise<boolean> {
  const { data, experiment } = filesNamed(begun, name);
  return !(await exists(data)) && !(await exists(experiment));
}

/** A name whose files are not there yet: the prompt file's, or one that is asked for. */
async function freeName(begun: Begun, given: StudyTarget | undefined): Promise<string> {
  const own = given?.name ?? basename(begun.document.uri.fsPath).replace(/\.prompt$/, '');
  if (await isFree(begun, own)) return own;
  if (given?.name !== undefined) {
    throw new MechanistError('bad-input', `There is a file ${own}.jsonl or ${own}${experimentEnding} already.`);
  }
  let next = 2;
  while (!(await isFree(begun, `${own}-${next}`))) next++;
  const value = `${own}-${next}`;
  const name = await vscode.window.showInputBox({
    ...{ title, value, valueSelection: [own.length + 1, value.length] as [number, number] },
    prompt: `There is a file ${own}.jsonl or ${own}${experimentEnding} already. Name of the new ones`,
    validateInput: async (text) => {
      if (!/^[\w][\w. +-]*$/.test(text.trim())) return 'Letters, digits, spaces and . _ + -';
      return (await isFree(begun, text.trim())) ? null : 'There are files of that name.';
    },
  });
  if (name === undefined) throw new MechanistError('cancelled', 'Cancelled.');
  return name.trim();
}

/** `pronoun-subject` where the settings have it, else a name made of the tokens: `she-he`. */
function nameOf({ begun, spec }: Studied): string {
  const { file, settings } = begun.session;
  const { observable } = file.frontMatter ?? {};
  if (observable?.named && observable.word !== undefined) return observable.word;
  const known = Object.entries(settings.observables.specs).find(([, own]) => isDeepStrictEqual(own, spec));
  if (known) return known[0];
  const words = Object.keys(spec).map((text) => text.trim());
  const name = words.slice(0, 2).join('-');
  return observableName.test(name) ? name : 'observable';
}

/** The name of the model that is asked: as the file has it, unless another one stands in for it. */
function modelOf({ session, model }: Begun): string {
  return session.choice?.kind === 'use' && session.choice.insteadOf === null
    ? namedModel(session.file, session.settings)
    : model;
}

/** Names of the texts beside the prompt file. */
async function textsBeside({ document }: Begun): Promise<readonly string[]> {
  const entries = await vscode.workspace.fs.readDirectory(vscode.Uri.joinPath(document.uri, '..'));
  return entries
    .flatMap(([name, type]) => (type === vscode.FileType.File && name.endsWith('.txt') ? [name] : []))
    .sort();
}

/** The observable first, then those of the settings that have another name. */
function observablesOf(studied: Studied): NamedSpecs {
  const name = nameOf(studied);
  const { specs } = studied.begun.session.settings.observables;
  return { [name]: studied.spec, ...Object.fromEntries(Object.entries(specs).filter(([other]) => other !== name)) };
}

async function contextOf(studied: Studied, observables: NamedSpecs): Promise<StudyContext> {
  const { begun, pairs } = studied;
  const [observable = '', ...others] = Object.keys(observables);
  const [corpus = null] = await textsBeside(begun);
  return { observable, others, heads: headsByDifference(pairs), corpus, pairs: pairs.length };
}

/** Makes an experiment of a prompt file's pairs, opens it and runs it. Never overwrites a file. */
export async function studyObservable(context: CommandContext, given: StudyTarget | undefined): Promise<void> {
  const studied = await beginStudy(context, given);
  const { begun, spec, pairs } = studied;
  const answer = studyAnswer(spec);
  const position = begun.session.file.frontMatter?.position?.value ?? -1;
  const model = modelOf(begun);
  const observables = observablesOf(studied);
  // Pairs that are none are refused before anything is asked.
  const dataset = studyDataset(pairs, answer, { name: nameOf(studied), model, position });
  const about = await contextOf(studied, observables);
  const chosen = await askStudies(possibleStudies(context.experiments.documents.kinds, about), studied, given);
  const name = await freeName(begun, given);
  const files = filesNamed(begun, name);
  const from = basename(begun.document.uri.fsPath);
  const compares = answer.foils.length > 0;
  const experiment = studyExperiment(chosen, {
    ...{ model, data: `${name}.jsonl`, observables, from, compares },
    note: unflipped(pairs),
  });
  const bytes = (text: string) => new TextEncoder().encode(text);
  await writeAtomically(files.data, bytes(dataset), false);
  await writeAtomically(files.experiment, bytes(experiment), false);
  const document = await vscode.workspace.openTextDocument(files.experiment);
  await vscode.window.showTextDocument(document);
  await runExperiment(context, { uri: document.uri.toString() });
}
