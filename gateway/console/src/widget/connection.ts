// Keeps a link to the server: a WebSocket when one can be had, long polling when not, and the way back to a socket.
// It knows nothing of messages: frames go up to the host, which says after which number to continue.
import { backoff } from '../shared/backoff';
import type { ClientFrame, ReadyFrame, ServerFrame } from './frames';
import { call, HttpError, type Fetch } from './http';
import { Timers } from './timers';

const RETRY = { min: 500, max: 30_000 };
/** A socket that is not ready by then is given up. */
const READY_TIMEOUT_MS = 10_000;
/** Sockets that failed before they were ready; then polling carries the chat. */
const SOCKET_TRIES = 2;
/** How often a polling client tries a socket again. */
const SOCKET_AGAIN_MS = 20_000;
/** A link that held this long was good: the next trouble starts with short delays again. */
const STABLE_MS = 10_000;
/** After the page wakes up, silence this long means that the socket is dead. */
const PROBE_MS = 5_000;
const POLL_WAIT_S = 25;

/** `socket` and `polling` carry messages; the others do not. */
export type LinkState = 'idle' | 'connecting' | 'socket' | 'polling' | 'offline';

export interface Host {
  /** Base of the channel, without a trailing slash: https://host/channels/web */
  base: string;
  fetch: Fetch;
  WebSocket: typeof WebSocket;
  /** A valid token; `fresh` = the last one was refused. Throws HttpError. */
  token(fresh: boolean): Promise<string>;
  after(): number;
  frame(frame: ServerFrame): void;
  state(state: LinkState): void;
}

export class Connection {
  readonly #host: Host;
  state: LinkState = 'idle';
  #socket: WebSocket | undefined;
  #ready = false;
  #readyAt = 0;
  #heardAt = 0;
  #attempt = 0;
  #failures = 0;
  #pollAbort: AbortController | undefined;
  #refused = false;
  #stopped = true;
  #byeDelay: number | undefined;
  readonly #timers = new Timers<'retry' | 'deadline' | 'heartbeat' | 'probe' | 'again'>();

  constructor(host: Host) {
    this.#host = host;
  }

  start(): void {
    if (!this.#stopped) return;
    this.#stopped = false;
    void this.#cycle();
  }

  stop(): void {
    this.#stopped = true;
    this.#dropSocket();
    this.#pollAbort?.abort();
    this.#pollAbort = undefined;
    this.#timers.clearAll();
    this.#become('idle');
  }

  /** Starts over at once: a gap was seen, or the visitor has changed. */
  restart(): void {
    if (this.#stopped) return;
    this.stop();
    this.start();
  }

  /** The network is back or the page is looked at again: do not wait for a timer that a sleeping laptop has stretched. */
  wake(): void {
    if (this.#stopped) return;
    if (this.#ready) {
      const asked = Date.now();
      this.send({ type: 'ping', at: asked });
      this.#timers.set('probe', PROBE_MS, () => this.#heardAt < asked && this.#lost());
    } else if (this.state === 'offline') {
      void this.#cycle();
    }
  }

  /** Sends a frame if a socket is up; says whether it did. */
  send(frame: ClientFrame): boolean {
    if (!this.#ready || this.#socket?.readyState !== 1) return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  async #cycle(): Promise<void> {
    this.#timers.clear('retry');
    if (this.state !== 'polling') this.#become('connecting');
    let token: string;
    try {
      token = await this.#host.token(this.#refused);
      this.#refused = false;
    } catch (error) {
      if (!this.#stopped) this.#later(error instanceof HttpError ? error.retryAfterMs : undefined);
      return;
    }
    if (this.#stopped) return;
    this.#open(token);
    if (this.#failures >= SOCKET_TRIES) this.#poll(token);
  }

  #open(token: string): void {
    this.#dropSocket();
    const url = `${this.#host.base.replace(/^http/, 'ws')}/socket?token=${encodeURIComponent(token)}&after=${this.#host.after()}`;
    const socket = new this.#host.WebSocket(url);
    this.#socket = socket;
    this.#timers.set('deadline', READY_TIMEOUT_MS, () => this.#lost());
    socket.onmessage = (event) => {
      this.#heardAt = Date.now();
      let frame: ServerFrame;
      try {
        frame = JSON.parse(String(event.data)) as ServerFrame;
      } catch {
        return;
      }
      this.#hear(frame);
    };
    socket.onclose = () => this.#lost();
  }

  #hear(frame: ServerFrame): void {
    if (frame.type === 'ping') this.send({ type: 'pong' });
    else if (frame.type === 'bye') this.#byeDelay = frame.reconnect_ms;
    else if (frame.type === 'ready') this.#becomeReady(frame);
    this.#host.frame(frame);
  }

  #becomeReady(frame: ReadyFrame): void {
    this.#timers.clear('deadline', 'again');
    this.#ready = true;
    this.#readyAt = Date.now();
    this.#failures = 0;
    this.#pollAbort?.abort();
    this.#pollAbort = undefined;
    this.#watch(frame.heartbeat_ms || 30_000);
    this.#become('socket');
  }

  /** Silence for three heartbeats is a dead link, whatever the operating system thinks of it. */
  #watch(heartbeat: number): void {
    this.#timers.set('heartbeat', heartbeat, () => {
      if (Date.now() - this.#heardAt > 3 * heartbeat) this.#lost();
      else this.#watch(heartbeat);
    });
  }

  #lost(): void {
    const wasReady = this.#ready;
    this.#dropSocket();
    if (this.#stopped) return;
    if (wasReady) {
      if (Date.now() - this.#readyAt > STABLE_MS) this.#attempt = 0;
    } else {
      this.#failures += 1;
    }
    if (this.#pollAbort) {
      this.#timers.set('again', SOCKET_AGAIN_MS, () => void this.#cycle());
    } else {
      this.#later(this.#byeDelay);
      this.#byeDelay = undefined;
    }
  }

  #later(delay?: number): void {
    this.#timers.clear('again');
    this.#become('offline');
    const jittered = backoff(this.#attempt++, RETRY);
    this.#timers.set('retry', delay === undefined ? jittered : delay + jittered / 2, () => void this.#cycle());
  }

  #dropSocket(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    this.#ready = false;
    this.#timers.clear('deadline', 'heartbeat', 'probe');
    if (!socket) return;
    socket.onmessage = null;
    socket.onclose = null;
    socket.close();
  }

  #poll(token: string): void {
    if (this.#pollAbort) return;
    const abort = new AbortController();
    this.#pollAbort = abort;
    void this.#pollLoop(token, abort.signal);
  }

  async #pollLoop(token: string, signal: AbortSignal): Promise<void> {
    // The first question does not wait: its answer tells whether polling works at all.
    let wait = 0;
    while (!signal.aborted) {
      try {
        const url = `${this.#host.base}/messages?after=${this.#host.after()}&wait=${wait}`;
        const answer = await call<{ frames: ServerFrame[]; seq: number }>(this.#host.fetch, url, { token, signal });
        for (const frame of answer.frames) {
          // A frame may start the connection over (a gap); what follows it then belongs to nobody.
          if (signal.aborted) return;
          this.#host.frame(frame);
        }
        if (signal.aborted) return;
        this.#attempt = 0;
        wait = POLL_WAIT_S;
        this.#become('polling');
      } catch (error) {
        if (signal.aborted) return;
        this.#pollAbort = undefined;
        this.#refused = error instanceof HttpError && error.status === 401;
        this.#later(error instanceof HttpError ? error.retryAfterMs : undefined);
        return;
      }
    }
  }

  #become(state: LinkState): void {
    if (this.state === state) return;
    this.state = state;
    this.#host.state(state);
  }
}
