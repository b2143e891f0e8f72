import type { ChildProcess } from 'node:child_process';

/** How the extension gets into VS Code: exactly one of the three. */
export type ExtensionSource =
  /** The repository's folder, as if it were installed. */
  | { readonly link: string; readonly vsix?: never; readonly development?: never }
  /** A packed extension, installed as a person would. */
  | { readonly vsix: string; readonly link?: never; readonly development?: never }
  /** An extension development host; `tests` is a module with `run()`, executed in the extension host. */
  | {
      readonly development: { readonly path: string; readonly tests?: string };
      readonly link?: never;
      readonly vsix?: never;
    };

export interface ServerOptions {
  /** Workspace folder to open. */
  readonly folder: string;
  readonly extension: ExtensionSource;
  /** User settings on top of the quiet defaults. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Added to the server's environment; the extension host inherits it. */
  readonly env?: Readonly<Record<string, string>>;
  readonly port?: number;
  /** Folder for user data, kept when the server stops; absent: a temporary one. */
  readonly data?: string;
  readonly startTimeoutMs?: number;
}

export interface RunningServer {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  readonly data: string;
  /** Settles when the server process has ended, by itself or stopped. */
  readonly exited: Promise<number | null>;
  /** Error lines of the extension host's log so far. */
  errorLines(): string[];
  /** Ends the server with all that it started. Safe to call twice. */
  stop(): Promise<void>;
}

export function startServer(options: ServerOptions): Promise<RunningServer>;
export function killGroup(child: ChildProcess): Promise<void>;
export function freePort(wanted?: number): Promise<number>;
