// Live events: a WebSocket by ticket, resumed after the last number seen, so nothing is missed while it was down.
import { backoff } from '../../shared/backoff';
import type { LiveEvent, LiveFrame } from './types';

const RETRY = { min: 500, max: 20_000 };
/** A server that is silent for so long is gone; it pings far more often. */
const SILENCE_MS = 90_000;
const STABLE_MS = 10_000;

export interface LiveHost {
  ticket(): Promise<{ ticket: string }>;
  /** wss://host/api/v1/events */
  url: string;
  WebSocket: typeof WebSocket;
  event(event: LiveEvent): void;
  /** Connected; `fresh` = events may have been missed (first time, or too old to resume): load the lists anew. */
  ready(fresh: boolean): void;
  state(online: boolean): void;
}

export class Live {
  /** The last number seen; undefined before the first `ready`. */
  seq: number | undefined;
  private socket: WebSocket | undefined;
  private attempt = 0;
  private stopped = false;
  private readyAt = 0;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private silence: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly host: LiveHost) {}

  async start(): Promise<void> {
    this.stopped = false;
    clearTimeout(this.retry);
    let ticket: string;
    try {
      ticket = (await this.host.ticket()).ticket;
    } catch {
      return this.later();
    }
    if (this.stopped) return;
    const after = this.seq === undefined ? '' : `&after=${this.seq}`;
    const socket = new this.host.WebSocket(`${this.host.url}?ticket=${encodeURIComponent(ticket)}${after}`);
    this.drop();
    this.socket = socket;
    this.listenForSilence();
    socket.onmessage = (event) => this.hear(String(event.data));
    socket.onclose = () => this.lost();
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.retry);
    this.drop();
  }

  /** The network is back: do not wait for the timer. */
  wake(): void {
    if (!this.stopped && !this.socket) void this.start();
  }

  /** Tells the other agents that we are writing in a conversation. */
  replying(conversationId: string, on: boolean): void {
    if (this.socket?.readyState === 1) this.socket.send(JSON.stringify({ type: 'replying', conversation_id: conversationId, on }));
  }

  private hear(text: string): void {
    this.listenForSilence();
    let frame: LiveFrame;
    try {
      frame = JSON.parse(text) as LiveFrame;
    } catch {
      return;
    }
    if (frame.type === 'ping') return this.socket?.send('{"type":"pong"}');
    if (frame.type === 'ready') {
      const fresh = this.seq === undefined || frame.reset === true;
      // Numbers only rise; a lower one after a reset is the server's new truth.
      this.seq = fresh ? frame.seq : Math.max(this.seq ?? 0, frame.seq);
      this.readyAt = Date.now();
      this.host.state(true);
      return this.host.ready(fresh);
    }
    if (frame.seq !== undefined) {
      if (this.seq !== undefined && frame.seq <= this.seq) return;
      this.seq = frame.seq;
    }
    this.host.event(frame);
  }

  private listenForSilence(): void {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => this.lost(), SILENCE_MS);
  }

  private lost(): void {
    if (this.readyAt && Date.now() - this.readyAt > STABLE_MS) this.attempt = 0;
    this.readyAt = 0;
    this.drop();
    if (!this.stopped) this.later();
  }

  private later(): void {
    if (this.stopped) return;
    this.host.state(false);
    this.retry = setTimeout(() => void this.start(), backoff(this.attempt++, RETRY));
  }

  private drop(): void {
    clearTimeout(this.silence);
    const socket = this.socket;
    this.socket = undefined;
    if (!socket) return;
    socket.onmessage = null;
    socket.onclose = null;
    socket.close();
  }
}
