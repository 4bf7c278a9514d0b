// Replies under trouble: one Idempotency-Key for all attempts, order kept, nothing lost over a reload.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ApiError } from '../../src/console/api/http';
import type { Outcome } from '../../src/console/api/types';
import { Sender, SENDS_MAX, type Send, type SenderHost } from '../../src/console/state/sender';

const text = (words: string) => [{ type: 'text', text: words }];
const done = (id = 'c1'): Outcome => ({ command_id: id, status: 'done', problem: null, message: null });

interface Rig extends SenderHost {
  sent: { key: string; words: string }[];
  saved: Send[];
  finished: string[];
}

function rig(answers: (() => Outcome | Promise<Outcome>)[], outcomes: Outcome[] = []): Rig {
  const host: Rig = {
    sent: [], saved: [], finished: [],
    send: async (send) => {
      host.sent.push({ key: send.key, words: send.content[0]?.text ?? '' });
      return (answers.shift() ?? done)();
    },
    outcome: async () => outcomes.shift() ?? { command_id: 'c1', status: 'pending' },
    save: (sends) => (host.saved = structuredClone(sends)),
    changed: () => undefined,
    done: (send) => host.finished.push(send.content[0]?.text ?? ''),
  };
  return host;
}

const lost = (): never => {
  throw new ApiError(0, 'offline', 'no answer');
};
const unavailable = (): never => {
  throw new ApiError(503, 'unavailable', 'bus down', 5_000);
};
const refused = (): never => {
  throw new ApiError(409, 'bad_transition', 'the window is closed');
};

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('sender', () => {
  it('tries again under the same key when the answer is lost', async () => {
    const host = rig([lost, lost]);
    const sender = new Sender(host);
    sender.add('a', 'reply', text('hello'));
    await vi.advanceTimersByTimeAsync(10_000);
    expect(host.sent.length).toBe(3);
    expect(new Set(host.sent.map((each) => each.key)).size).toBe(1);
    expect(host.finished).toEqual(['hello']);
    expect(host.saved).toEqual([]);
  });

  it('waits as long as Retry-After says', async () => {
    const host = rig([unavailable]);
    new Sender(host).add('a', 'reply', text('hello'));
    await vi.advanceTimersByTimeAsync(4_900);
    expect(host.sent.length).toBe(1);
    await vi.advanceTimersByTimeAsync(200);
    expect(host.sent.length).toBe(2);
  });

  it('keeps the order within a conversation and does not hold up the others', async () => {
    const host = rig([unavailable]);
    const sender = new Sender(host);
    sender.add('a', 'reply', text('a1'));
    sender.add('a', 'reply', text('a2'));
    sender.add('b', 'reply', text('b1'));
    await vi.advanceTimersByTimeAsync(100);
    expect(host.sent.map((each) => each.words)).toEqual(['a1', 'b1']);
    await vi.advanceTimersByTimeAsync(6_000);
    expect(host.finished).toEqual(['b1', 'a1', 'a2']);
  });

  it('goes on after a reload with the same key', async () => {
    const before = rig([unavailable]);
    const first = new Sender(before);
    first.add('a', 'reply', text('hello'));
    await vi.advanceTimersByTimeAsync(10);
    first.stop();
    const after = rig([]);
    const second = new Sender(after, before.saved);
    second.start();
    await vi.advanceTimersByTimeAsync(10);
    expect(after.sent).toEqual(before.sent);
    expect(after.finished).toEqual(['hello']);
  });

  it('shows a refusal, goes on with the next, and takes a new key when tried again', async () => {
    const host = rig([refused]);
    const sender = new Sender(host);
    sender.add('a', 'reply', text('no'));
    sender.add('a', 'reply', text('next'));
    await vi.advanceTimersByTimeAsync(100);
    expect(host.finished).toEqual(['next']);
    expect(host.saved).toMatchObject([{ state: 'failed', problem: 'the window is closed' }]);
    sender.retry(host.saved[0]!.key);
    await vi.advanceTimersByTimeAsync(100);
    expect(host.sent[2]?.key).not.toBe(host.sent[0]?.key);
    expect(host.finished).toEqual(['next', 'no']);
  });

  it('waits for the outcome of a 202 by event, or asks for it', async () => {
    const pending = (): Outcome => ({ command_id: 'c1', status: 'pending' });
    const byEvent = rig([pending]);
    const sender = new Sender(byEvent);
    sender.add('a', 'reply', text('hello'));
    await vi.advanceTimersByTimeAsync(100);
    expect(byEvent.finished).toEqual([]);
    sender.settle(done());
    expect(byEvent.finished).toEqual(['hello']);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(byEvent.sent.length).toBe(1);

    const byAsking = rig([pending], [pending(), { command_id: 'c1', status: 'failed', problem: { detail: 'gone' } }]);
    new Sender(byAsking).add('a', 'reply', text('hello'));
    await vi.advanceTimersByTimeAsync(10_000);
    expect(byAsking.sent.length).toBe(1);
    expect(byAsking.saved).toMatchObject([{ state: 'failed', problem: 'gone' }]);
  });

  it('has a bound', () => {
    const sender = new Sender(rig([]));
    for (let n = 0; n < SENDS_MAX; n++) expect(sender.add('a', 'note', text(`${n}`))).toBe(true);
    expect(sender.add('a', 'note', text('one too many'))).toBe(false);
    sender.stop();
  });
});
