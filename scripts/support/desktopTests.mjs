// The same host tests in a desktop VS Code, where this machine has one.
import { realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { env, platform } from 'node:process';
import { runTests } from '@vscode/test-electron';
import { bundleHostSuite, hostWorkspace, readHostResult } from './hostTests.mjs';
import { findProgram, isExecutable, root } from './programs.mjs';

/**
 * The desktop VS Code to test in: `VSCODE_PATH`, else the one behind `code` on the PATH.
 * @returns {{path: string} | {reason: string}}
 */
export function findDesktop() {
  if (env.VSCODE_PATH) {
    if (isExecutable(env.VSCODE_PATH)) return needsDisplay({ path: env.VSCODE_PATH });
    return { reason: `VSCODE_PATH names ${env.VSCODE_PATH}, which cannot be executed` };
  }
  const command = findProgram('code');
  if (!command) return { reason: 'no desktop VS Code: no `code` on the PATH and no VSCODE_PATH' };
  // `code` is a wrapper in <installation>/bin; the program itself lies above it.
  const installation = dirname(dirname(realpathSync(command)));
  const program =
    {
      darwin: join(installation, '..', '..', 'MacOS', 'Electron'),
      win32: join(installation, 'Code.exe'),
    }[platform] ?? join(installation, 'code');
  return isExecutable(program) ? needsDisplay({ path: program }) : { reason: `found ${command}, but not its program` };
}

function needsDisplay(found) {
  const headless = platform === 'linux' && !env.DISPLAY && !env.WAYLAND_DISPLAY;
  return headless ? { reason: 'a desktop VS Code needs a display (run under xvfb-run)' } : found;
}

/**
 * @param {{path: string, log: (line: string) => void}} options
 */
export async function runDesktopTests({ path, log }) {
  const extensionTestsPath = await bundleHostSuite();
  const place = hostWorkspace();
  try {
    const { TEST_HOST_RESULT } = place.env;
    const exitCode = await runTests({
      vscodeExecutablePath: path,
      extensionDevelopmentPath: root,
      extensionTestsPath,
      extensionTestsEnv: { TEST_HOST_RESULT },
      launchArgs: [place.folder, '--disable-extensions', '--disable-workspace-trust', '--skip-welcome'],
    }).catch((error) => {
      log(error.message);
      return 1;
    });
    return readHostResult(place.result, exitCode);
  } finally {
    place.remove();
  }
}
