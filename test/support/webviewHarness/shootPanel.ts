import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { findBrowser, type HarnessOptions, startHarness } from './harness.ts';

/** A picture: its name, and what is opened. The height is that of the window; the whole page is taken. */
export interface Shot extends Pick<HarnessOptions, 'theme' | 'width' | 'state' | 'kept'> {
  readonly name: string;
  readonly height?: number;
}

/** Takes pictures of a panel into `folder`, all or those whose name has `only` in it. */
export async function shootPanel(
  panel: HarnessOptions['panel'],
  shots: readonly Shot[],
  folder: string,
  only = '',
): Promise<void> {
  const executable = findBrowser();
  if (executable === null) throw new Error('No Chromium, Chrome or Edge was found. Set CHROMIUM_PATH.');
  mkdirSync(folder, { recursive: true });
  const harness = await startHarness(executable);
  try {
    for (const { name, height = 900, ...options } of shots.filter((shot) => shot.name.includes(only))) {
      const { page, faults } = await harness.open({ panel, height, ...options });
      await page.waitForTimeout(300);
      await page.screenshot({ path: join(folder, `${panel}-${name}.png`), fullPage: true });
      const sideways = await page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      console.log(`${name}: ${faults.length} faults ${faults.join('; ')}, sideways ${sideways}`);
      await page.context().close();
    }
  } finally {
    await harness.close();
  }
}
