import { it } from 'vitest';
import type { RunningServer } from '../../tools/vscode-host/host.mjs';
import type { Workbench } from './workbench.ts';

/** A test of a window that all tests of a file share. */
export type Step = (name: string, test: () => Promise<void>) => void;

/**
 * Makes tests that leave a picture of the window, and what VS Code logged as errors, when they fail.
 * @param file names the pictures
 * @param open the window, once it is open
 */
export function stepsOf(
  file: string,
  open: () => { readonly workbench: Workbench; readonly server: RunningServer },
): Step {
  return (name, test) => {
    it(name, async () => {
      await test().catch(async (error) => {
        const { workbench, server } = open();
        await workbench.screenshot('dark', `failed ${file} ${name.replaceAll(/[^\w ]/g, '')}`);
        for (const logged of server.errorLines()) console.error(logged);
        throw error;
      });
    });
  };
}
