// A stand-in for Patchbay, for development and tests of the front end only: in memory, strict, and able to misbehave.
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { extname, join, normalize } from 'node:path';
import { WebSocketServer, type WebSocket } from 'ws';
import type { Agent } from '../src/console/api/types';
import { Api } from './api';
import { answer, Problem, readCall, type Call, type Reply } from './http';
import { Webchat, type WebchatSetup } from './webchat';
import { World } from './world';

/** As the real server sends it for the console. */
const CSP = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'";
const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.json': 'application/json',
};
const CORS = {
  'Access-Control-Allow-Origin': '*',
  'Access-Control-Allow-Headers': 'Authorization, Content-Type, Idempotency-Key',
  'Access-Control-Allow-Methods': 'GET, POST',
  'Access-Control-Expose-Headers': 'Retry-After',
};

/** Troubles to be switched on by tests. */
export interface Faults {
  /** Refuse every WebSocket, as a proxy that knows none would. */
  noSockets: boolean;
  /** Answer 503 to calls whose "METHOD /path" matches. */
  unavailable: RegExp | undefined;
  /** Do what was asked, then cut the connection before the answer. */
  loseAnswer: RegExp | undefined;
  /** Refuse connections' requests altogether. */
  cut: boolean;
}

export class Fake {
  readonly world = new World();
  readonly webchat: Webchat;
  readonly api: Api;
  readonly faults: Faults = { noSockets: false, unavailable: undefined, loseAnswer: undefined, cut: false };
  /** Every call, as "METHOD /path". */
  readonly calls: string[] = [];
  /** Visitor sockets opened so far. */
  socketsOpened = 0;
  origin = '';
  private readonly server: Server;
  private readonly sockets = new WebSocketServer({ noServer: true });
  private readonly raw = new Set<Socket>();

  constructor(private readonly dist: string, setup: Partial<WebchatSetup> = {}) {
    this.webchat = new Webchat(this.world, { heartbeatMs: 2_000, ...setup });
    this.api = new Api(this.world, this.webchat);
    this.server = createServer((request, response) => void this.serve(request, response));
    this.server.on('connection', (socket) => {
      this.raw.add(socket);
      socket.on('close', () => this.raw.delete(socket));
    });
    this.server.on('upgrade', (request, socket, head) => this.upgrade(request, socket as Socket, head));
  }

  async listen(port = 0): Promise<this> {
    await new Promise<void>((done) => this.server.listen(port, '127.0.0.1', done));
    this.origin = `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
    return this;
  }

  /** Cuts every open socket without a goodbye, as a lost network does. */
  dropSockets(): void {
    for (const socket of this.sockets.clients) socket.terminate();
  }

  async close(): Promise<void> {
    this.dropSockets();
    for (const socket of this.raw) socket.destroy();
    await new Promise<void>((done) => this.server.close(() => done()));
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const channel = request.url?.startsWith('/channels/') ?? false;
    const headers = channel ? CORS : {};
    if (this.faults.cut) return void request.socket.destroy();
    if (request.method === 'OPTIONS') return answer(response, { status: 204 }, headers);
    try {
      const call = await readCall(request);
      const line = `${call.method} ${call.path}`;
      this.calls.push(line);
      if (this.faults.unavailable?.test(line)) throw new Problem(503, 'unavailable', 'bus down', { 'Retry-After': '1' });
      const reply = await this.route(call);
      if (this.faults.loseAnswer?.test(line)) return void request.socket.destroy();
      answer(response, reply, call.path.startsWith('/console/') || call.path === '/demo' ? { 'Content-Security-Policy': CSP } : headers);
    } catch (error) {
      const problem = error instanceof Problem ? error : new Problem(500, 'internal', String(error));
      if (problem.status === 500) console.error(error);
      answer(response, { status: problem.status, json: problem.body }, { ...headers, ...problem.headers });
    }
  }

  private async route(call: Call): Promise<Reply> {
    if (call.path.startsWith('/api/v1/')) return this.api.handle(call, call.path.slice('/api/v1'.length));
    if (call.path.startsWith('/channels/web/')) return this.webchat.handle(call, call.path.slice('/channels/web'.length));
    if (call.path.startsWith('/channels/')) throw new Problem(404, 'not_found', 'no such channel');
    const upload = this.world.uploads.get(call.path);
    if (upload) return { status: 200, bytes: upload.bytes, type: upload.mime };
    const path = call.path === '/demo' ? '/demo.html' : call.path.replace(/\/$/, '/index.html');
    try {
      const bytes = await readFile(join(this.dist, normalize(path)));
      return { status: 200, bytes, type: TYPES[extname(path)] ?? 'application/octet-stream' };
    } catch {
      throw new Problem(404, 'not_found', path);
    }
  }

  private upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    const url = new URL(request.url ?? '/', this.origin);
    const visitors = url.pathname === '/channels/web/socket';
    const agent = url.pathname === '/api/v1/events' ? this.api.redeem(url.searchParams.get('ticket') ?? '') : undefined;
    if (this.faults.noSockets || this.faults.cut || (!visitors && !agent)) {
      socket.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n');
      return;
    }
    this.sockets.handleUpgrade(request, socket, head, (open) => {
      if (visitors) {
        this.socketsOpened += 1;
        this.webchat.join(open, url.searchParams);
      } else if (agent) {
        this.joinConsole(open, url.searchParams.get('after'), agent);
      }
    });
  }

  private joinConsole(socket: WebSocket, after: string | null, agent: Agent): void {
    const world = this.world;
    if (after !== null) for (const event of world.events.filter((each) => each.seq > Number(after))) socket.send(JSON.stringify(event));
    socket.send(JSON.stringify({ type: 'ready', seq: world.events.length }));
    world.consoles.set(socket, agent);
    const beat = setInterval(() => socket.send('{"type":"ping"}'), this.webchat.setup.heartbeatMs);
    socket.on('message', (data) => {
      const frame = JSON.parse(String(data)) as { type: string; conversation_id: string; on: boolean };
      if (frame.type === 'replying') {
        const { id, name } = agent;
        world.whisper('replying', { conversation_id: frame.conversation_id, agent: { id, name }, on: frame.on }, socket);
      } else if (frame.type !== 'pong') world.violate(`console frame ${String(data)}`);
    });
    socket.on('close', () => {
      clearInterval(beat);
      world.consoles.delete(socket);
    });
  }
}

/** Starts a fake that serves the build in `dist`. */
export function startFake(dist: string, setup: Partial<WebchatSetup> = {}, port = 0): Promise<Fake> {
  return new Fake(dist, setup).listen(port);
}
