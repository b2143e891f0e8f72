import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TracePanelState } from '../../../src/shared/tracePanelProtocol.ts';
import { readyState } from '../traceStates.ts';
import { findBrowser, startHarness } from './harness.ts';
import type { HarnessTheme } from './themes.ts';

const pictures: readonly (readonly [name: string, theme: HarnessTheme, width: number, height: number])[] = [
  ['dark-960', 'dark', 960, 860],
  ['light-960', 'light', 960, 860],
  ['dark-1440', 'dark', 1440, 900],
  ['light-700', 'light', 700, 1500],
  ['dark-420', 'dark', 420, 1700],
  ['contrast-960', 'highContrastDark', 960, 1100],
  ['contrast-light-700', 'highContrastLight', 700, 1700],
];

/** Reads a state that was written by JSON with `{float32: [...]}` for typed arrays. */
function readState(path: string): TracePanelState {
  return JSON.parse(readFileSync(path, 'utf8'), (_, value) =>
    value?.float32 ? new Float32Array(value.float32) : value,
  );
}

/** Takes the pictures into `folder`. Arguments: folder, then optionally a state file. */
export async function shoot(folder: string, stateFile?: string): Promise<void> {
  const executable = findBrowser();
  if (executable === null) throw new Error('No Chromium, Chrome or Edge was found. Set CHROMIUM_PATH.');
  mkdirSync(folder, { recursive: true });
  const harness = await startHarness(executable);
  try {
    for (const [name, theme, width, height] of pictures) {
      const state = stateFile === undefined ? readyState() : readState(stateFile);
      const { page, faults } = await harness.open({ theme, width, height, state });
      await page.waitForTimeout(300);
      await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
      const sideways = await page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      console.log(
        `${name}: ${faults.length} faults${faults.length > 0 ? ` ${faults.join('; ')}` : ''}, sideways ${sideways}`,
      );
      await page.context().close();
    }
  } finally {
    await harness.close();
  }
}
