import { join } from 'node:path';
import * as vscode from 'vscode';
import { attributionMethods } from '../core/tasks/frontMatter.ts';
import { type NamedObservables, readNamedObservables } from '../core/tasks/namedObservables.ts';
import { type SettingId, settingDefaults } from '../shared/contributions.ts';
import type { EngineSettings } from '../shared/engineProtocol.ts';
import type { AttributionMethod } from '../shared/traceDocument.ts';

/** Settings that concern one prompt file. */
export interface PromptSettings {
  readonly model: string;
  /** Empty: none. */
  readonly fallbackModel: string;
  readonly method: AttributionMethod;
  readonly tintEnabled: boolean;
  readonly updateDelayMs: number;
  /** Observables that the workspace shares by name. */
  readonly observables: NamedObservables;
}

type Widened<T> = T extends string ? string : T extends number ? number : T extends boolean ? boolean : T;

function read<K extends SettingId>(id: K, scope?: vscode.ConfigurationScope): Widened<(typeof settingDefaults)[K]> {
  type Value = Widened<(typeof settingDefaults)[K]>;
  const fallback = settingDefaults[id] as Value;
  const value: unknown = vscode.workspace.getConfiguration('mechanist', scope).get(id);
  // A settings file can hold anything; a value of the wrong type counts as not set.
  return typeof value === typeof fallback ? (value as Value) : fallback;
}

/** What the engine process is started with; a change needs a new process. */
export function readEngineSettings(extension: vscode.Extension<unknown>): EngineSettings {
  return {
    version: String(extension.packageJSON.version),
    cacheDir: read('cacheFolder'),
    bundledDir: join(extension.extensionPath, 'models'),
    threads: Math.max(0, Math.floor(read('engine.threads'))),
    activationCacheBytes: Math.max(0, read('engine.activationCacheMB')) * 1e6,
  };
}

export function readPromptSettings(scope: vscode.ConfigurationScope): PromptSettings {
  return {
    model: read('model', scope).trim(),
    fallbackModel: read('fallbackModel', scope).trim(),
    method: attributionMethods.find((method) => method === read('method', scope)) ?? 'direct',
    tintEnabled: read('tint.enabled', scope),
    updateDelayMs: Math.max(0, read('updateDelayMs', scope)),
    observables: readNamedObservables(read('observables', scope)),
  };
}
