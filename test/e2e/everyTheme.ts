import type { Frame } from 'playwright-core';
import { type AxeFinding, readAxe } from './tracePanel.ts';
import { type Theme, themes, type Workbench } from './workbench.ts';

/** No finding in any theme. */
export const noFindings: Readonly<Record<Theme, readonly AxeFinding[]>> = {
  ...{ dark: [], light: [], 'high-contrast': [], 'high-contrast-light': [] },
};

/** Takes a picture of the window in each theme, and has axe read the panel in it. The window is left dark. */
export async function axeInEveryTheme(
  workbench: Workbench,
  frame: Frame,
  picture: string,
): Promise<Readonly<Record<string, readonly AxeFinding[]>>> {
  const findings: Record<string, readonly AxeFinding[]> = {};
  for (const theme of Object.keys(themes) as Theme[]) {
    await workbench.useTheme(theme);
    await workbench.page.mouse.move(200, 880);
    await workbench.page.waitForTimeout(1000);
    await workbench.screenshot(theme, picture);
    findings[theme] = await readAxe(frame);
  }
  await workbench.useTheme('dark');
  return findings;
}
