import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface SeenRequest {
  readonly path: string;
  readonly range: string | undefined;
}

export type Answer = (request: IncomingMessage, response: ServerResponse, body: Buffer) => void;

/** A file server on 127.0.0.1 whose behaviour a test chooses request by request. */
export interface FileServer {
  readonly url: string;
  readonly seen: readonly SeenRequest[];
  /** Answers of the next requests, in order; afterwards files are served as they should be. */
  readonly next: Answer[];
  close(): Promise<void>;
}

/** Serves a file whole, or from the byte that is asked for. */
export const serve: Answer = (request, response, body) => {
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
  if (range === null) {
    response.writeHead(200, { 'content-length': body.length, 'content-type': 'application/octet-stream' }).end(body);
    return;
  }
  const from = Number(range[1]);
  const to = range[2] === '' ? body.length - 1 : Number(range[2]);
  if (from >= body.length) {
    response.writeHead(416, { 'content-range': `bytes */${body.length}` }).end();
    return;
  }
  response
    .writeHead(206, { 'content-range': `bytes ${from}-${to}/${body.length}`, 'content-length': to - from + 1 })
    .end(body.subarray(from, to + 1));
};

/** Sends `count` bytes of what was asked for, then breaks the connection; on a busy machine some may be lost. */
export function breakAfter(count: number): Answer {
  return (request, response, body) => {
    const from = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const head = {
      'content-length': body.length - from,
      'content-range': `bytes ${from}-${body.length - 1}/${body.length}`,
    };
    response.writeHead(request.headers.range === undefined ? 200 : 206, head);
    response.write(body.subarray(from, from + count), () => setTimeout(() => response.destroy(), 100));
  };
}

/** Sends `count` bytes, then nothing more, for ever. */
export function stallAfter(count: number): Answer {
  return (_request, response, body) => {
    response.writeHead(200, { 'content-length': body.length });
    response.write(body.subarray(0, count));
  };
}

/** Describes the file as the hub does: size, and its hash as etag. */
export function describeAs(etag: string): Answer {
  return (request, response, body) => {
    response.setHeader('etag', `"${etag}"`);
    serve(request, response, body);
  };
}

/** Where each request after the first began; -1 for one that asked for the whole file. */
export function resumedAt(seen: readonly SeenRequest[]): number[] {
  return seen.slice(1).map(({ range }) => Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? -1));
}

export function status(code: number): Answer {
  return (_request, response) => response.writeHead(code).end('no');
}

export const webPage: Answer = (_request, response) => {
  response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end('<!DOCTYPE html><p>Please log in');
};

export async function startFileServer(files: Readonly<Record<string, Buffer>>): Promise<FileServer> {
  const seen: SeenRequest[] = [];
  const next: Answer[] = [];
  const server = createServer((request, response) => {
    const path = decodeURIComponent((request.url ?? '').split('?')[0] ?? '');
    seen.push({ path, range: request.headers.range });
    const body = files[path];
    const answer = next.shift() ?? (body === undefined ? status(404) : serve);
    answer(request, response, body ?? Buffer.alloc(0));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    seen,
    next,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
