// The widget's state machine: numbers, repeats, gaps, reconnects, long polling, and the outbox.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FakeSocket, memoryStorage, message, rig, settle, VISITOR, visitorOnly, type HttpCall, type Rig } from './widget-fakes';

const text = (words: string) => [{ type: 'text', text: words }];
let open: Rig[] = [];

function start(...args: Parameters<typeof rig>): Rig {
  const made = rig(...args);
  open.push(made);
  made.client.start();
  return made;
}

beforeEach(() => {
  vi.useFakeTimers({ now: new Date('2026-11-20T10:00:00Z') });
  vi.spyOn(Math, 'random').mockReturnValue(1);
  vi.stubGlobal('addEventListener', () => undefined);
  vi.stubGlobal('removeEventListener', () => undefined);
  FakeSocket.all = [];
});

afterEach(() => {
  for (const each of open) each.client.destroy();
  open = [];
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

describe('numbers', () => {
  it('shows each message once and in order, and drops repeats', async () => {
    const { shown, socket } = start();
    const link = await socket();
    for (const seq of [1, 2, 2, 1, 3]) link.say(message(seq));
    link.ready(3);
    expect(shown.map((each) => each.seq)).toEqual([1, 2, 3]);
  });

  it('fetches again after the last number when one is missing', async () => {
    const { shown, socket } = start();
    const link = await socket();
    link.ready(0);
    link.say(message(1));
    link.say(message(3));
    expect(link.closed).toBe(true);
    const again = await socket();
    expect(again.after).toBe(1);
    again.say(message(2));
    again.say(message(3));
    again.ready(3);
    expect(shown.map((each) => each.seq)).toEqual([1, 2, 3]);
  });

  it('goes on behind a gap that the server itself cannot fill', async () => {
    const { shown, socket } = start();
    for (let round = 0; round < 3; round++) (await socket()).say(message(5));
    const link = await socket();
    expect(link.after).toBe(4);
    link.say(message(5));
    expect(shown.map((each) => each.seq)).toEqual([5]);
  });

  it('notices by `ready` and `pong` that it is behind', async () => {
    const { socket } = start();
    const link = await socket();
    link.ready(2);
    const second = await socket();
    expect(second).not.toBe(link);
    second.say(message(1));
    second.say(message(2));
    second.ready(2);
    second.say({ type: 'pong', seq: 3 });
    expect((await socket()).after).toBe(2);
  });

  it('starts over when the server has lost its past', async () => {
    const { client, socket } = start();
    const link = await socket();
    link.ready(0);
    for (const seq of [1, 2, 3]) link.say(message(seq));
    link.break();
    await vi.advanceTimersByTimeAsync(2_000);
    (await socket()).ready(1);
    expect((await socket()).after).toBe(0);
    expect(client.log.messages).toEqual([]);
  });

  it('keeps messages, numbers and the token over a reload', async () => {
    const disk = memoryStorage();
    const first = start(visitorOnly, disk);
    const link = await first.socket();
    link.ready(0);
    link.say(message(1));
    link.say(message(2));
    first.client.markRead();
    first.client.destroy();
    const second = start(visitorOnly, disk);
    expect(second.client.log.messages.map((each) => each.seq)).toEqual([1, 2]);
    expect(second.client.log.unread).toBe(0);
    expect((await second.socket()).after).toBe(2);
    expect(second.calls[0]?.body?.['token']).toBe('t1');
  });
});

describe('connection', () => {
  it('comes back with growing, bounded delays', async () => {
    const { socket, client } = start();
    (await socket()).ready(0);
    const delays: number[] = [];
    for (let round = 0; round < 8; round++) {
      const before = FakeSocket.all.length;
      const at = Date.now();
      (await socket()).break();
      expect(client.link).toBe('offline');
      while (FakeSocket.all.length === before) await vi.advanceTimersByTimeAsync(100);
      delays.push(Date.now() - at);
      (await socket()).ready(0);
    }
    expect(delays.slice(0, 4)).toEqual([500, 1_000, 2_000, 4_000]);
    expect(Math.max(...delays)).toBeLessThanOrEqual(30_000);
  });

  it('takes three silent heartbeats for a dead link, and answers pings', async () => {
    const { socket } = start();
    const link = await socket();
    link.ready(0);
    link.say({ type: 'ping' });
    expect(link.sent).toContainEqual({ type: 'pong' });
    await vi.advanceTimersByTimeAsync(29_000);
    expect(link.closed).toBe(false);
    await vi.advanceTimersByTimeAsync(22_000);
    expect(link.closed).toBe(true);
  });

  it('waits as long as the server asks in `bye`', async () => {
    const { socket } = start();
    const link = await socket();
    link.ready(0);
    link.say({ type: 'bye', reason: 'restart', reconnect_ms: 5_000 });
    link.break();
    await vi.advanceTimersByTimeAsync(4_900);
    expect(FakeSocket.all.length).toBe(1);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(FakeSocket.all.length).toBe(2);
  });

  it('asks for a new visitor when the token is refused, and only then', async () => {
    const disk = memoryStorage();
    const first = start(visitorOnly, disk);
    const link = await first.socket();
    link.ready(0);
    link.say(message(1));
    first.client.destroy();
    let down = true;
    const second = start((call: HttpCall) => {
      if (down) return { status: 503 };
      return call.body?.['token'] ? { status: 401, body: { code: 'bad_token' } } : { status: 200, body: { ...VISITOR, token: 't2', visitor: 'v2' } };
    }, disk);
    await settle();
    expect(second.client.log.visitor).toBe('v1');
    down = false;
    await vi.advanceTimersByTimeAsync(2_000);
    expect(second.client.log.visitor).toBe('v2');
    expect(second.client.log.messages).toEqual([]);
    expect((await second.socket()).after).toBe(0);
  });

  it('goes on as anonymous, not as somebody proven before, when an identity is refused', async () => {
    for (const verified of [true, false]) {
      const asked: object[] = [];
      const { client } = start((call) => {
        asked.push({ token: call.body?.['token'], identity: Boolean(call.body?.['identity']) });
        if (call.body?.['identity'] && asked.length > 1) return { status: 401 };
        return { status: 200, body: call.body?.['token'] ? { ...VISITOR, verified } : { ...VISITOR, verified: asked.length === 1 && verified, visitor: asked.length === 1 ? 'v1' : 'v2' } };
      });
      await settle();
      client.identify({ user_id: 'ben', expires_at: 1, mac: 'bad' });
      await settle();
      expect(asked[1]).toEqual({ token: 't1', identity: true });
      expect(asked[2]).toEqual({ token: verified ? undefined : 't1', identity: false });
      expect(client.log.visitor).toBe(verified ? 'v2' : 'v1');
      client.destroy();
    }
  });

  it('polls when no socket can be had, sends by POST, and takes the socket when it works again', async () => {
    const polls: string[] = [];
    let frames: object[] = [message(1)];
    const { client, shown, calls, socket } = start(async (call) => {
      if (call.method === 'GET') {
        polls.push(call.url.search);
        const answer = { frames, seq: 1 };
        frames = [];
        if (polls.length > 1) await new Promise((done) => setTimeout(done, 25_000));
        return { status: 200, body: answer };
      }
      return visitorOnly(call) ?? { status: 202, body: { id: 'x' } };
    });
    (await socket()).break();
    await vi.advanceTimersByTimeAsync(1_000);
    (await socket()).break();
    await vi.advanceTimersByTimeAsync(1_500);
    expect(client.link).toBe('polling');
    expect(polls.slice(0, 2)).toEqual(['?after=0&wait=0', '?after=1&wait=25']);
    expect(shown.map((each) => each.seq)).toEqual([1]);
    client.send(text('by post'));
    await settle();
    const post = calls.find((call) => call.method === 'POST' && call.url.pathname.endsWith('/messages'));
    expect(post?.body).toMatchObject({ type: 'message', content: text('by post') });
    expect(client.outbox.items[0]?.state).toBe('sent');
    (await socket()).break();
    await vi.advanceTimersByTimeAsync(21_000);
    (await socket()).ready(1);
    expect(client.link).toBe('socket');
    const before = polls.length;
    await vi.advanceTimersByTimeAsync(30_000);
    expect(polls.length).toBe(before);
  });
});

describe('outbox', () => {
  it('sends one message at a time, in order', async () => {
    const { client, socket } = start();
    const link = await socket();
    link.ready(0);
    for (const words of ['a', 'b', 'c']) client.send(text(words));
    expect(link.messages.map((each) => each.content)).toEqual([text('a')]);
    link.say({ type: 'accepted', client_id: link.messages[0]!.client_id, id: 'x' });
    expect(link.messages.map((each) => each.content)).toEqual([text('a'), text('b')]);
  });

  it('sends again under the same client_id after a lost link or a lost answer', async () => {
    const { client, socket } = start();
    const link = await socket();
    link.ready(0);
    client.send(text('a'));
    link.break();
    await vi.advanceTimersByTimeAsync(1_000);
    const second = await socket();
    second.ready(0);
    expect(second.messages[0]?.client_id).toBe(link.messages[0]?.client_id);
    await vi.advanceTimersByTimeAsync(10_500);
    const third = await socket();
    third.ready(0);
    expect(third.messages[0]?.client_id).toBe(link.messages[0]?.client_id);
    expect(client.outbox.items.length).toBe(1);
  });

  it('replaces the waiting message by its echo instead of showing both', async () => {
    const { client, socket } = start();
    const link = await socket();
    link.ready(0);
    client.send(text('a'));
    const id = link.messages[0]!.client_id;
    link.say({ type: 'accepted', client_id: id, id: 'x' });
    expect(client.outbox.items[0]?.state).toBe('sent');
    link.say(message(1, { from: 'visitor', client_id: id, content: text('a') }));
    expect(client.outbox.items).toEqual([]);
    expect(client.log.messages.length).toBe(1);
  });

  it('takes the echo for the answer when it comes first', async () => {
    const { client, socket } = start();
    const link = await socket();
    link.ready(0);
    client.send(text('a'));
    client.send(text('b'));
    link.say(message(1, { from: 'visitor', client_id: link.messages[0]!.client_id }));
    expect(link.messages.length).toBe(2);
  });

  it('waits and sends again by itself when refused with retry', async () => {
    const { client, socket } = start();
    const link = await socket();
    link.ready(0);
    client.send(text('a'));
    const id = link.messages[0]!.client_id;
    link.say({ type: 'refused', client_id: id, code: 'unavailable', detail: '', retry: true, retry_after_ms: 3_000 });
    await vi.advanceTimersByTimeAsync(2_900);
    expect(link.messages.length).toBe(1);
    await vi.advanceTimersByTimeAsync(200);
    expect(link.messages.map((each) => each.client_id)).toEqual([id, id]);
  });

  it('fails a message refused for good, goes on with the next, and tries again when asked', async () => {
    const { client, socket } = start();
    const link = await socket();
    link.ready(0);
    client.send(text('a'));
    client.send(text('b'));
    const id = link.messages[0]!.client_id;
    link.say({ type: 'refused', client_id: id, code: 'too_large', detail: '', retry: false });
    expect(client.outbox.find(id)).toMatchObject({ state: 'failed', code: 'too_large' });
    expect(link.messages[1]?.content).toEqual(text('b'));
    link.say({ type: 'accepted', client_id: link.messages[1]!.client_id, id: 'x' });
    client.retry(id);
    expect(link.messages[2]?.client_id).toBe(id);
  });

  it('keeps unsent messages over a reload, but asks before sending old ones', async () => {
    const disk = memoryStorage();
    const first = start(() => ({ status: 503 }), disk);
    first.client.send(text('a'));
    await settle();
    first.client.destroy();
    const soon = rig(visitorOnly, disk);
    expect(soon.client.outbox.items.map((item) => item.state)).toEqual(['sending']);
    soon.client.destroy();
    vi.setSystemTime(Date.now() + 25 * 3_600_000);
    const late = rig(visitorOnly, disk);
    expect(late.client.outbox.items[0]).toMatchObject({ state: 'failed', code: 'stale' });
    late.client.destroy();
  });

  it('has a bound', async () => {
    const { client } = start(() => ({ status: 503 }));
    for (let n = 0; n < 50; n++) expect(client.send(text(String(n)))).toBe(true);
    expect(client.send(text('one too many'))).toBe(false);
  });

  it('drops the words of a known person when another signs in, and carries over those of an anonymous one', async () => {
    for (const verified of [true, false]) {
      const disk = memoryStorage();
      let visitor = { ...VISITOR, verified };
      const { client, socket } = start((call) => (call.url.pathname.endsWith('/visitor') ? { status: 200, body: visitor } : undefined), disk);
      (await socket()).ready(0);
      (await socket()).break();
      client.send(text('mine'));
      visitor = { ...VISITOR, visitor: 'v2', token: 't2', verified: true };
      client.identify({ user_id: 'u2', expires_at: 1, mac: 'x' });
      await settle();
      expect(client.outbox.items.length).toBe(verified ? 0 : 1);
      client.destroy();
    }
  });
});

describe('marks', () => {
  it('tells what was delivered and read, once', async () => {
    const { client, socket } = start();
    const link = await socket();
    link.ready(0);
    link.say(message(1));
    link.say(message(2));
    await vi.advanceTimersByTimeAsync(300);
    expect(link.sent).toContainEqual({ type: 'seen', delivered: 2 });
    expect(client.log.unread).toBe(2);
    client.markRead();
    client.markRead();
    expect(link.sent.filter((frame) => frame.type === 'seen' && frame.read === 2).length).toBe(1);
  });

  it('repeats a read mark that was lost with the link', async () => {
    const { client, socket } = start();
    const link = await socket();
    link.ready(0);
    link.say(message(1));
    link.break();
    client.markRead();
    await vi.advanceTimersByTimeAsync(1_000);
    const again = await socket();
    again.ready(1, { read: 0 });
    expect(again.sent).toContainEqual({ type: 'seen', read: 1 });
  });

  it('ends a typing indicator whose end got lost', async () => {
    const { client, socket } = start();
    const link = await socket();
    link.ready(0);
    link.say({ type: 'typing', from: 'agent', name: 'Mei', on: true });
    expect(client.typing).toEqual({ name: 'Mei' });
    await vi.advanceTimersByTimeAsync(10_100);
    expect(client.typing).toBeUndefined();
  });
});
