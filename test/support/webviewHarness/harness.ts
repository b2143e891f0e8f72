import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { build } from 'esbuild';
import { type Browser, chromium, type Page } from 'playwright-core';
import type { CircuitPanelState } from '../../../src/shared/circuitPanelProtocol.ts';
import type { DatasetPanelState } from '../../../src/shared/datasetPanelProtocol.ts';
import type { FiguresPanelState } from '../../../src/shared/figuresPanelProtocol.ts';
import type { GridPanelState } from '../../../src/shared/gridPanelProtocol.ts';
import type { FromTracePanel, TracePanelState } from '../../../src/shared/tracePanelProtocol.ts';
import { type HarnessTheme, themes } from './themes.ts';

/** Chromium, Chrome or Edge on this machine; null when there is none. */
export function findBrowser(): string | null {
  const candidates = [
    process.env.CHROMIUM_PATH,
    '/usr/bin/chromium',
    '/usr/bin/chromium-browser',
    '/usr/bin/google-chrome',
    '/usr/bin/microsoft-edge',
    '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  ];
  return candidates.find((path): path is string => path !== undefined && existsSync(path)) ?? null;
}

type AnyState = TracePanelState | GridPanelState | FiguresPanelState | CircuitPanelState | DatasetPanelState;
const panels = ['trace', 'grid', 'results', 'circuit', 'dataset'] as const;
type PanelName = (typeof panels)[number];

export interface HarnessOptions {
  readonly theme: HarnessTheme;
  readonly width: number;
  readonly height: number;
  readonly state: AnyState;
  /** Which panel is opened; the state is one of its own. */
  readonly panel?: PanelName;
  /** What `getState` returns: an earlier page's view. */
  readonly kept?: unknown;
  readonly forcedColors?: 'active' | 'none';
}

export interface HarnessPage {
  readonly page: Page;
  /** Messages that the panel has sent. */
  readonly sent: () => Promise<FromTracePanel[]>;
  readonly kept: () => Promise<unknown>;
  readonly send: (state: AnyState) => Promise<void>;
  /** Console errors and violations of the content security policy. */
  readonly faults: readonly string[];
}

export interface Harness {
  readonly open: (options: HarnessOptions) => Promise<HarnessPage>;
  readonly close: () => Promise<void>;
}

const types: Readonly<Record<string, string>> = { '.js': 'text/javascript', '.css': 'text/css', '.ttf': 'font/ttf' };

/**
 * The policy of the real panel, with this server in the place of `webview.cspSource`. The hash is that of the empty
 * string: the toolkit makes one empty style element and fills it by script.
 */
const policy =
  "default-src 'none'; img-src 'self' data:; style-src 'self' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='; font-src 'self'; script-src 'nonce-harness'";

function pageHtml(panel: PanelName): string {
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Trace</title><link rel="icon" href="data:,">
<link rel="stylesheet" href="/codicon.css"><link rel="stylesheet" href="/${panel}.css"></head><body>
<script nonce="harness" type="module" src="/${panel}.js"></script></body></html>`;
}

async function buildPanel(folder: string): Promise<void> {
  await build({
    entryPoints: Object.fromEntries(panels.map((name) => [name, `src/webview/${name}/main.tsx`])),
    bundle: true,
    format: 'esm',
    target: 'es2022',
    jsx: 'automatic',
    jsxImportSource: 'preact',
    outdir: folder,
    logLevel: 'error',
  });
}

function serve(folder: string): Promise<Server> {
  const icons = 'node_modules/@vscode/codicons/dist';
  const server = createServer((request, response) => {
    const path = (request.url ?? '/').split('?')[0];
    response.setHeader('content-security-policy', policy);
    const panel = panels.find((name) => path === `/${name}`);
    if (panel) {
      response.setHeader('content-type', 'text/html; charset=utf-8');
      response.end(pageHtml(panel));
      return;
    }
    const file = path.startsWith('/codicon') ? join(icons, path) : join(folder, path);
    if (!existsSync(file)) {
      response.statusCode = 404;
      response.end();
      return;
    }
    response.setHeader('content-type', types[extname(file)] ?? 'application/octet-stream');
    response.end(readFileSync(file));
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

/** Runs in the page before its scripts: stands in for VS Code. */
function mock({
  kept,
  bodyClass,
  variables,
}: {
  kept: unknown;
  bodyClass: string;
  variables: Readonly<Record<string, string>>;
}): void {
  const page = globalThis as unknown as { sent: unknown[]; kept: unknown; acquireVsCodeApi: () => unknown };
  page.sent = [];
  page.kept = kept;
  page.acquireVsCodeApi = () => ({
    postMessage: (message: unknown) => page.sent.push(message),
    getState: () => page.kept,
    setState: (state: unknown) => {
      page.kept = state;
    },
  });
  const dress = (): void => {
    document.body.className = bodyClass;
    for (const [name, value] of Object.entries(variables)) document.documentElement.style.setProperty(name, value);
  };
  new MutationObserver((_, observer) => {
    if (!document.body) return;
    dress();
    observer.disconnect();
  }).observe(document, { childList: true, subtree: true });
}

async function openPage(browser: Browser, url: string, options: HarnessOptions): Promise<HarnessPage> {
  const { theme, width, height, state, kept = null, forcedColors = 'none', panel = 'trace' } = options;
  const context = await browser.newContext({
    viewport: { width, height },
    forcedColors,
    colorScheme: theme === 'dark' || theme === 'highContrastDark' ? 'dark' : 'light',
    reducedMotion: 'reduce',
  });
  const page = await context.newPage();
  const faults: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error') faults.push(message.text());
  });
  page.on('pageerror', (error) => faults.push(String(error)));
  await page.addInitScript(mock, { kept, ...themes[theme] });
  await page.goto(url + panel);
  await page.waitForFunction(() => ((globalThis as unknown as { sent?: unknown[] }).sent ?? []).length > 0);
  // Structured clone as by VS Code: typed arrays arrive typed.
  const send = async (next: AnyState): Promise<void> => {
    const plain = JSON.stringify(next, (_, value) =>
      value instanceof Float32Array ? { float32: [...value] } : Number.isNaN(value) ? { nan: true } : value,
    );
    await page.evaluate((text) => {
      const data = JSON.parse(text, (_, value) =>
        value?.float32 ? new Float32Array(value.float32) : value?.nan ? Number.NaN : value,
      );
      globalThis.postMessage({ type: 'state', state: data }, '*');
    }, plain);
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  };
  await send(state);
  return {
    page,
    faults,
    send,
    sent: () => page.evaluate(() => (globalThis as unknown as { sent: FromTracePanel[] }).sent),
    kept: () => page.evaluate(() => (globalThis as unknown as { kept: unknown }).kept),
  };
}

/** Builds the panel and opens it in a real browser under the panel's own content security policy. */
export async function startHarness(executablePath: string): Promise<Harness> {
  const folder = mkdtempSync(join(tmpdir(), 'mechanist-webview-'));
  await buildPanel(folder);
  const server = await serve(folder);
  const browser = await chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking'],
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  return {
    open: (options) => openPage(browser, url, options),
    close: async () => {
      await browser.close();
      server.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
