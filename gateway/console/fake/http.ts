// Small helpers for the fake server: bodies, problem documents, CORS.
import type { IncomingMessage, ServerResponse } from 'node:http';

export const BODY_MAX = 25_000_000;

/** An answer that ends the request: thrown by the routes. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly detail = code,
    readonly headers: Record<string, string> = {},
  ) {
    super(detail);
  }

  get body(): object {
    return { type: 'about:blank', title: this.code, status: this.status, detail: this.detail, code: this.code };
  }
}

export interface Call {
  method: string;
  path: string;
  query: URLSearchParams;
  headers: IncomingMessage['headers'];
  token: string;
  bytes: Buffer;
}

export interface Reply {
  status: number;
  json?: unknown;
  bytes?: Buffer;
  type?: string;
}

export async function readCall(request: IncomingMessage): Promise<Call> {
  const url = new URL(request.url ?? '/', 'http://fake');
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += (chunk as Buffer).length;
    if (size > BODY_MAX) throw new Problem(413, 'too_large');
    chunks.push(chunk as Buffer);
  }
  return {
    method: request.method ?? 'GET',
    path: decodeURIComponent(url.pathname),
    query: url.searchParams,
    headers: request.headers,
    token: (request.headers.authorization ?? '').replace(/^Bearer /, ''),
    bytes: Buffer.concat(chunks),
  };
}

/** The body as an object; a client that sends anything else has a bug. */
export function jsonBody(call: Call): Record<string, unknown> {
  if (!/^application\/json/.test(call.headers['content-type'] ?? '')) throw new Problem(415, 'not_json');
  try {
    const value: unknown = JSON.parse(call.bytes.toString());
    if (value && typeof value === 'object' && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Answered below.
  }
  throw new Problem(400, 'bad_json');
}

export function answer(response: ServerResponse, reply: Reply, headers: Record<string, string> = {}): void {
  const type = reply.type ?? (reply.status >= 400 ? 'application/problem+json' : 'application/json');
  response.writeHead(reply.status, { 'Content-Type': type, 'Cache-Control': 'no-store', ...headers });
  response.end(reply.bytes ?? (reply.json === undefined ? undefined : JSON.stringify(reply.json)));
}

/** Type by the bytes, as the contract wants it. */
export function sniff(bytes: Buffer): { mime: string; width?: number; height?: number } {
  if (bytes.subarray(0, 4).equals(Buffer.from([0x89, 0x50, 0x4e, 0x47]))) {
    return { mime: 'image/png', width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20) };
  }
  if (bytes[0] === 0xff && bytes[1] === 0xd8) return { mime: 'image/jpeg' };
  if (bytes.subarray(0, 4).toString() === '%PDF') return { mime: 'application/pdf' };
  if (bytes.includes(0)) return { mime: 'application/octet-stream' };
  return { mime: 'text/plain' };
}
