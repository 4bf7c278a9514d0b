import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Live } from '../../src/console/api/live';
import type { LiveEvent } from '../../src/console/api/types';

class Socket {
  static all: Socket[] = [];
  readyState = 1;
  sent: string[] = [];
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: (() => void) | null = null;
  constructor(readonly url: string) {
    Socket.all.push(this);
  }
  send(text: string): void {
    this.sent.push(text);
  }
  close(): void {
    this.readyState = 3;
  }
  say(frame: object): void {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }
}

let events: LiveEvent[];
let fresh: boolean[];
let live: Live;
let refuse = false;

async function socket(): Promise<Socket> {
  await vi.advanceTimersByTimeAsync(0);
  return Socket.all[Socket.all.length - 1]!;
}

beforeEach(() => {
  vi.useFakeTimers();
  Socket.all = [];
  events = [];
  fresh = [];
  refuse = false;
  let tickets = 0;
  live = new Live({
    ticket: async () => {
      if (refuse) throw new Error('503');
      return { ticket: `t${++tickets}` };
    },
    url: 'wss://a.example/api/v1/events',
    WebSocket: Socket as unknown as typeof WebSocket,
    event: (event) => events.push(event),
    ready: (is) => fresh.push(is),
    state: () => undefined,
  });
  void live.start();
});
afterEach(() => {
  live.stop();
  vi.useRealTimers();
});

const event = (seq: number) => ({ seq, type: 'channel', at: '', data: {} });

it('resumes after the last event with a new ticket, and loads lists only the first time', async () => {
  const first = await socket();
  expect(first.url).toBe('wss://a.example/api/v1/events?ticket=t1');
  first.say({ type: 'ready', seq: 40 });
  first.say(event(41));
  first.onclose?.();
  await vi.advanceTimersByTimeAsync(2_000);
  const second = await socket();
  expect(second.url).toBe('wss://a.example/api/v1/events?ticket=t2&after=41');
  second.say(event(41));
  second.say(event(42));
  second.say({ type: 'ready', seq: 42 });
  expect(events.map((each) => each.seq)).toEqual([41, 42]);
  expect(fresh).toEqual([true, false]);
});

it('starts over when the server no longer has what was missed', async () => {
  (await socket()).say({ type: 'ready', seq: 40 });
  (await socket()).onclose?.();
  await vi.advanceTimersByTimeAsync(2_000);
  (await socket()).say({ type: 'ready', seq: 9, reset: true });
  (await socket()).say(event(10));
  expect(fresh).toEqual([true, true]);
  expect(events.map((each) => each.seq)).toEqual([10]);
});

it('answers pings, passes on signals without a number, and gives up a silent server', async () => {
  const first = await socket();
  first.say({ type: 'ready', seq: 1 });
  first.say({ type: 'ping' });
  expect(first.sent).toEqual(['{"type":"pong"}']);
  first.say({ type: 'typing', data: { conversation_id: 'c', from: 'contact', name: null, on: true } });
  expect(events.length).toBe(1);
  await vi.advanceTimersByTimeAsync(95_000);
  expect(first.readyState).toBe(3);
  expect(Socket.all.length).toBeGreaterThan(1);
});

it('keeps trying when no ticket can be had', async () => {
  (await socket()).say({ type: 'ready', seq: 1 });
  refuse = true;
  (await socket()).onclose?.();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(Socket.all.length).toBe(1);
  refuse = false;
  await vi.advanceTimersByTimeAsync(21_000);
  expect(Socket.all.length).toBe(2);
});
