// Finds a browser of the Chromium kind, or installs Chromium where this machine allows it.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { env, getuid, platform } from 'node:process';
import { chromium } from 'playwright-core';
import { findProgram, isExecutable, runProgram } from './programs.mjs';

const names = [
  'chromium',
  'chromium-browser',
  'google-chrome-stable',
  'google-chrome',
  'microsoft-edge-stable',
  'microsoft-edge',
];
const places = {
  darwin: [
    '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
    '/Applications/Chromium.app/Contents/MacOS/Chromium',
    '/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge',
  ],
  linux: ['/opt/google/chrome/chrome', '/opt/microsoft/msedge/msedge', '/snap/bin/chromium'],
  win32: [env.PROGRAMFILES, env['PROGRAMFILES(X86)'], env.LOCALAPPDATA]
    .filter((folder) => folder !== undefined)
    .flatMap((folder) => [
      join(folder, 'Google', 'Chrome', 'Application', 'chrome.exe'),
      join(folder, 'Microsoft', 'Edge', 'Application', 'msedge.exe'),
    ]),
};

/**
 * Path of Chromium, Chrome or Edge: `CHROMIUM_PATH`, else the PATH, else the usual places, else Playwright's own.
 * @returns {string | null}
 */
export function findBrowser() {
  if (env.CHROMIUM_PATH) return existsSync(env.CHROMIUM_PATH) ? env.CHROMIUM_PATH : null;
  for (const name of names) {
    const found = findProgram(name);
    if (found) return found;
  }
  const standard = (places[platform] ?? []).find(isExecutable);
  if (standard) return standard;
  const own = chromium.executablePath();
  return own && existsSync(own) ? own : null;
}

/**
 * Finds a browser, or installs Chromium: by apt-get as root, else by Playwright's download.
 * @param {(line: string) => void} log
 * @returns {Promise<{path: string} | {reason: string}>}
 */
export async function findOrInstallBrowser(log) {
  const found = findBrowser();
  if (found) return { path: found };
  if (env.CHROMIUM_PATH) return { reason: `CHROMIUM_PATH names ${env.CHROMIUM_PATH}, which does not exist` };
  log('no Chromium, Chrome or Edge found: installing Chromium');
  const attempts = [];
  if (platform === 'linux' && getuid?.() === 0 && findProgram('apt-get'))
    attempts.push(['apt-get', ['install', '-y', '--no-install-recommends', 'chromium']]);
  attempts.push(['npx', ['--no', 'playwright-core', 'install', 'chromium']]);
  let last = '';
  for (const [command, args] of attempts) {
    if (command === 'apt-get') await runProgram('apt-get', ['update'], { quiet: true, timeoutMs: 300_000 });
    const { code, output } = await runProgram(command, args, { quiet: true, timeoutMs: 600_000 });
    const installed = findBrowser();
    if (code === 0 && installed) return { path: installed };
    last = output.trim().split('\n').at(-1) ?? '';
  }
  return { reason: `no Chromium, Chrome or Edge, and none could be installed (${last}); set CHROMIUM_PATH` };
}
