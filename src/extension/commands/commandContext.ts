import * as vscode from 'vscode';
import { promptIndexAt } from '../../core/tasks/promptFile.ts';
import type { PromptTarget } from '../../shared/contributions.ts';
import { MechanistError } from '../../shared/errors.ts';
import type { EngineClient } from '../engineClient.ts';
import type { ExperimentDocuments } from '../experiment/experimentDocuments.ts';
import type { ExperimentRuns } from '../experiment/experimentRuns.ts';
import type { StepResults } from '../experiment/stepResults.ts';
import type { GridPanels } from '../grid/gridPanels.ts';
import type { ModelDirectory } from '../modelDirectory.ts';
import type { PromptSession } from '../promptLanguage/promptSession.ts';
import type { PromptSessions } from '../promptLanguage/promptSessions.ts';
import type { SteerPanels } from '../results/steerPanels.ts';
import type { Messages } from '../runWithProgress.ts';
import type { TracePanels } from '../trace/tracePanels.ts';

/** What commands work with; made in the composition root. */
export interface CommandContext {
  readonly engine: EngineClient;
  readonly models: ModelDirectory;
  readonly sessions: PromptSessions;
  readonly panels: TracePanels;
  readonly grids: GridPanels;
  readonly experiments: {
    readonly documents: ExperimentDocuments;
    readonly results: StepResults;
    readonly runs: ExperimentRuns;
  };
  readonly steering: SteerPanels;
  readonly messages: Messages;
}

/** A prompt of an open file. */
export interface FoundPrompt {
  readonly document: vscode.TextDocument;
  readonly session: PromptSession;
  readonly target: PromptTarget;
}

/** The prompt that a command was called for, or the one under the cursor; the file's first one in its panel. */
export async function findPrompt({ sessions }: CommandContext, target: PromptTarget | undefined): Promise<FoundPrompt> {
  const editor = vscode.window.activeTextEditor;
  const uri = target?.uri ?? sessions.activeDocument?.uri.toString();
  const open = uri === undefined ? null : await sessions.open({ uri });
  if (!open) throw new MechanistError('bad-input', 'Open a .prompt file and put the cursor into a prompt.');
  if (target) return { ...open, target };
  if (open.session.isStale) open.session.refresh();
  const offset = editor ? open.document.offsetAt(editor.selection.active) : 0;
  const prompt = Math.max(0, promptIndexAt(open.session.file, offset));
  return { ...open, target: { uri: open.document.uri.toString(), prompt } };
}
