import { join } from 'node:path';
import * as vscode from 'vscode';
import { CircuitEditor, type CircuitPanel } from './circuit/circuitEditor.ts';
import { registerCommands } from './commands/registerCommands.ts';
import { DatasetDocuments } from './dataset/datasetDocuments.ts';
import type { DatasetPanel } from './dataset/datasetPanel.ts';
import { registerDatasets } from './dataset/registerDatasets.ts';
import { EngineClient } from './engineClient.ts';
import { ExperimentDocuments } from './experiment/experimentDocuments.ts';
import { ExperimentRuns } from './experiment/experimentRuns.ts';
import { registerExperimentLanguage } from './experiment/registerExperimentLanguage.ts';
import { StepResults } from './experiment/stepResults.ts';
import type { GridPanel } from './grid/gridPanel.ts';
import { GridPanels } from './grid/gridPanels.ts';
import { ResultEditor } from './grid/resultEditor.ts';
import { ModelDirectory } from './modelDirectory.ts';
import type { PromptSession } from './promptLanguage/promptSession.ts';
import { PromptSessions } from './promptLanguage/promptSessions.ts';
import { registerPromptLanguage } from './promptLanguage/registerPromptLanguage.ts';
import type { FiguresPanel } from './results/figuresPanel.ts';
import { SteerPanels } from './results/steerPanels.ts';
import { Messages } from './runWithProgress.ts';
import { readEngineSettings } from './settings.ts';
import { TracePanels } from './trace/tracePanels.ts';

/** What `activate` returns to the tests in the extension host. */
export interface MechanistApi {
  /** Process id of the engine while it runs. */
  enginePid(): number | undefined;
  /** Heat-map panels and result editors that are open: what they show, and what their pages may ask. */
  gridPanels(): readonly Pick<GridPanel, 'model' | 'receive'>[];
  /** Panels and editors of results that are no heat-maps: what they show. */
  figuresPanels(): readonly Pick<FiguresPanel, 'state' | 'receive'>[];
  /** Circuit editors that are open. */
  circuitPanels(): readonly Pick<CircuitPanel, 'model' | 'receive' | 'document'>[];
  /** The tints of a prompt file: tokens in document offsets with their values, and the end of their scale in logits. */
  promptTints(document: vscode.TextDocument): Pick<PromptSession, 'shown' | 'scaleMax'> | undefined;
  /** Editors of datasets: what they show, and what their pages may ask. */
  datasetPanels(): readonly Pick<DatasetPanel, 'state' | 'receive'>[];
}

/** Starts the engine anew when a setting that it is started with has changed. */
function restartWhenConfigured(engine: EngineClient, models: ModelDirectory): vscode.Disposable {
  return vscode.workspace.onDidChangeConfiguration((event) => {
    const needsNewEngine = ['mechanist.engine', 'mechanist.cacheFolder'];
    if (!needsNewEngine.some((id) => event.affectsConfiguration(id))) return;
    engine.restart();
    models.refresh();
  });
}

/** Builds, registers and hands over for disposal; no logic of its own. */
export function activate(context: vscode.ExtensionContext): MechanistApi {
  const output = vscode.window.createOutputChannel('Mechanist', { log: true });
  const log = (line: string) => output.info(line);
  const messages = new Messages(output);
  const engine = new EngineClient({
    modulePath: join(context.extensionPath, 'dist', 'engine.cjs'),
    settings: () => readEngineSettings(context.extension),
    log,
    onCrash: (message) => {
      messages.warn(message);
      models.refresh();
    },
  });
  const models = new ModelDirectory(engine);
  const sessions = new PromptSessions(engine, models);
  const openGrids = new Set<GridPanel>();
  const openFigures = new Set<FiguresPanel>();
  const openCircuits = new Set<CircuitPanel>();
  const documents = new ExperimentDocuments(context.extensionPath);
  const results = new StepResults(documents);
  const runs = new ExperimentRuns(engine, documents, results, messages);
  const open = { open: openGrids, openFigures, openCircuits, experiments: { documents, runs } };
  const panelContext = { extensionUri: context.extensionUri, port: engine, sessions, messages, log, ...open };
  const panels = new TracePanels(panelContext, context.workspaceState);
  const grids = new GridPanels(panelContext, sessions);
  const datasets = new DatasetDocuments(engine, models);
  const openDatasets = new Set<DatasetPanel>();
  const steering = new SteerPanels(panelContext);
  context.subscriptions.push(
    output,
    engine,
    sessions,
    documents,
    results,
    runs,
    panels,
    grids,
    new ResultEditor(panelContext),
    new CircuitEditor(panelContext),
    registerPromptLanguage(sessions, models, engine),
    registerDatasets({ extensionUri: context.extensionUri, messages, datasets, openDatasets }),
    registerExperimentLanguage(documents, results, runs, models, engine),
    registerCommands({
      engine,
      models,
      sessions,
      panels,
      grids,
      steering,
      messages,
      experiments: { documents, results, runs },
    }),
    restartWhenConfigured(engine, models),
  );
  return {
    enginePid: () => engine.pid,
    gridPanels: () => [...openGrids],
    figuresPanels: () => [...openFigures],
    circuitPanels: () => [...openCircuits],
    datasetPanels: () => [...openDatasets],
    promptTints: (document) => sessions.get(document),
  };
}
