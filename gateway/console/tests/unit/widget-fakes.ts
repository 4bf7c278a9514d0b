// A server in a few lines for the widget's state machine: sockets that the test opens, answers and breaks by hand.
import { vi } from 'vitest';
import { ChatClient } from '../../src/widget/client';
import type { ClientFrame, MessageFrame, ServerFrame } from '../../src/widget/frames';
import { Store } from '../../src/widget/store';

export class FakeSocket {
  static all: FakeSocket[] = [];
  readyState = 1;
  sent: ClientFrame[] = [];
  closed = false;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: (() => void) | null = null;

  constructor(readonly url: string) {
    FakeSocket.all.push(this);
  }

  get after(): number {
    return Number(new URL(this.url).searchParams.get('after'));
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text) as ClientFrame);
  }

  close(): void {
    this.closed = true;
    this.readyState = 3;
  }

  /** From the server. */
  say(frame: ServerFrame): void {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }

  ready(seq: number, more: object = {}): void {
    this.say({ type: 'ready', visitor: 'v1', seq, heartbeat_ms: 10_000, delivered: 0, read: 0, ...more });
  }

  /** The network is gone. */
  break(): void {
    this.readyState = 3;
    this.onclose?.();
  }

  get messages(): Extract<ClientFrame, { type: 'message' }>[] {
    return this.sent.filter((frame): frame is Extract<ClientFrame, { type: 'message' }> => frame.type === 'message');
  }
}

export function memoryStorage(): Storage {
  const values = new Map<string, string>();
  return {
    get length() {
      return values.size;
    },
    key: (index) => [...values.keys()][index] ?? null,
    getItem: (key) => values.get(key) ?? null,
    setItem: (key, value) => void values.set(key, value),
    removeItem: (key) => void values.delete(key),
    clear: () => values.clear(),
  };
}

export interface HttpCall {
  method: string;
  url: URL;
  token: string;
  body: Record<string, unknown> | undefined;
}

type Answer = { status: number; body?: unknown; headers?: Record<string, string> } | 'lost';

/** Routes calls to `handle`; what it does not answer is a 404. */
export function fakeFetch(handle: (call: HttpCall) => Answer | undefined | Promise<Answer | undefined>): { fetch: typeof fetch; calls: HttpCall[] } {
  const calls: HttpCall[] = [];
  const fetcher = async (input: unknown, init: RequestInit = {}): Promise<Response> => {
    const headers = init.headers as Record<string, string>;
    const call: HttpCall = {
      method: init.method ?? 'GET',
      url: new URL(String(input)),
      token: (headers['Authorization'] ?? '').replace('Bearer ', ''),
      body: init.body ? (JSON.parse(String(init.body)) as Record<string, unknown>) : undefined,
    };
    calls.push(call);
    const answer = (await handle(call)) ?? { status: 404 };
    if (answer === 'lost' || init.signal?.aborted) throw new TypeError('network');
    return new Response(answer.status === 204 ? null : JSON.stringify(answer.body ?? {}), { status: answer.status, headers: answer.headers ?? {} });
  };
  return { fetch: fetcher as typeof fetch, calls };
}

export const VISITOR = { token: 't1', visitor: 'v1', verified: false, expires_at: '2099-01-01T00:00:00.000Z' };

/** Makes a token and nothing else. */
export function visitorOnly(call: HttpCall): Answer | undefined {
  return call.url.pathname.endsWith('/visitor') ? { status: 200, body: VISITOR } : undefined;
}

export function message(seq: number, more: Partial<MessageFrame> = {}): MessageFrame {
  return { type: 'message', seq, id: `m${seq}`, from: 'agent', content: [{ type: 'text', text: `text ${seq}` }], at: '2026-11-20T10:00:00.000Z', conversation_id: 'c1', ...more };
}

export interface Rig {
  client: ChatClient;
  shown: MessageFrame[];
  calls: HttpCall[];
  /** The newest socket, once it is there. */
  socket(): Promise<FakeSocket>;
}

export function rig(handle = visitorOnly as (call: HttpCall) => Answer | undefined | Promise<Answer | undefined>, disk = memoryStorage()): Rig {
  const { fetch: fetcher, calls } = fakeFetch(handle);
  const shown: MessageFrame[] = [];
  const client = new ChatClient({
    base: 'https://chat.example/channels/web',
    store: new Store('p:', () => disk),
    locale: 'en',
    listener: { message: (frame) => shown.push(frame), changed: () => undefined },
    fetch: fetcher,
    WebSocket: FakeSocket as unknown as typeof WebSocket,
  });
  return {
    client, shown, calls,
    socket: async () => {
      await settle();
      const socket = FakeSocket.all[FakeSocket.all.length - 1];
      if (!socket) throw new Error('no socket was opened');
      return socket;
    },
  };
}

/** Lets promises run without letting time pass. */
export async function settle(): Promise<void> {
  await vi.advanceTimersByTimeAsync(0);
}
