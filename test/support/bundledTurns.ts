import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { ModelStore } from '../../src/core/models/modelStore.ts';
import { createModelStore } from '../../src/core/session/createModelStore.ts';
import { loadModel } from '../../src/core/session/loadModel.ts';
import { ModelTurns } from '../../src/engine/modelTurns.ts';

/** The bundled models with an empty cache of their own, and turns on them as the engine process takes them. */
export function bundledTurns(): {
  readonly store: ModelStore;
  readonly turns: ModelTurns;
  readonly remove: () => void;
} {
  const root = resolve(import.meta.dirname, '../..');
  const cacheDir = mkdtempSync(join(tmpdir(), 'mechanist-turns-'));
  const store = createModelStore({
    ...{ cacheDir, bundledDir: join(root, 'models'), cwd: root, hubUrl: undefined },
    availableBytes: () => 8e9,
  });
  const turns = new ModelTurns(store, (located, on) =>
    loadModel(store, located, { threads: 1, cacheBytes: 0, version: '0.0.0-test' }, on),
  );
  return { store, turns, remove: () => rmSync(cacheDir, { recursive: true, force: true }) };
}
