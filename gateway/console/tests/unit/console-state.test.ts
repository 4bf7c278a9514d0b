import { describe, expect, it, vi } from 'vitest';
import type { Conversation, Message } from '../../src/console/api/types';
import { counts, places, visible, type Known, type Listing } from '../../src/console/state/lists';
import { deliver, lastInbound, merge, seen } from '../../src/console/state/messages';
import { upsert } from '../../src/console/state/paged';
import { en } from '../../src/console/strings/en';
import { zh } from '../../src/console/strings/zh';

function conversation(id: string, more: Partial<Conversation> = {}): Conversation {
  return {
    id, version: 1, state: 'open', channel: { id: 'web', kind: 'webchat' }, contact: { id: `c-${id}`, name: id, address: id, verified: false, locale: null },
    group: null, agent: null, waiting_since: null, snoozed_until: null, position: null, created_at: '2026-11-20T08:00:00.000Z', updated_at: '2026-11-20T08:00:00.000Z',
    last_message: null, unread: 0, replying: [], ...more,
  };
}

function message(pos: number, more: Partial<Message> = {}): Message {
  return { id: `m${pos}`, pos, seq: pos, kind: 'message', direction: 'outbound', from: { kind: 'agent', id: 'me', name: 'Me' }, content: [{ type: 'text', text: `${pos}` }], at: '2026-11-20T08:00:00.000Z', delivery: null, ...more };
}

const me = { id: 'me', name: 'Me' };
const known = (...items: Conversation[]): Known => upsert(new Map(), items);
const ids = (known: Known, listing: Partial<Listing>): string[] => visible(known, { view: 'all', filters: {}, me: 'me', ...listing }).map((each) => each.id);

describe('lists', () => {
  it('never replaces a conversation by an older state of it', () => {
    const newer = known(conversation('a', { version: 5, unread: 3 }));
    expect(upsert(newer, [conversation('a', { version: 4 })])).toBe(newer);
    expect(upsert(newer, [conversation('a', { version: 6, unread: 0 })]).get('a')?.unread).toBe(0);
  });

  it('shows mine without the finished ones, newest activity first', () => {
    const all = known(
      conversation('old', { agent: me }),
      conversation('new', { agent: me, updated_at: '2026-11-20T09:00:00.000Z' }),
      conversation('done', { agent: me, state: 'resolved' }),
      conversation('other', { agent: { id: 'x', name: 'X' } }),
    );
    expect(ids(all, { view: 'mine' })).toEqual(['new', 'old']);
    expect(ids(all, { view: 'all', filters: { state: 'resolved' } })).toEqual(['done']);
  });

  it('shows those who wait in the order of the queue', () => {
    const all = known(
      conversation('second', { state: 'waiting', waiting_since: '2026-11-20T08:30:00.000Z', updated_at: '2026-11-20T09:00:00.000Z' }),
      conversation('first', { state: 'waiting', waiting_since: '2026-11-20T08:10:00.000Z' }),
      conversation('open'),
    );
    expect(ids(all, { view: 'waiting' })).toEqual(['first', 'second']);
  });

  it('moves everybody up when the first in line is taken, in each group by itself', () => {
    const field = { id: 'g', name: 'Field' };
    const at = (minute: number) => ({ state: 'waiting' as const, waiting_since: `2026-11-20T08:0${minute}:00.000Z`, position: 9 });
    const all = known(conversation('a', at(1)), conversation('b', at(2)), conversation('c', at(3)), conversation('other', { ...at(4), group: field }));
    expect([...places(all)]).toEqual([['a', 1], ['b', 2], ['c', 3], ['other', 1]]);
    expect([...places(upsert(all, [conversation('a', { version: 2, agent: me })]))]).toEqual([['b', 1], ['c', 2], ['other', 1]]);
  });

  it('leaves out what lies behind pages not loaded yet, so that the list has no holes', () => {
    const all = known(conversation('a', { updated_at: '2026-11-20T09:00:00.000Z' }), conversation('b', { updated_at: '2026-11-01T09:00:00.000Z' }));
    expect(ids(all, { horizon: '2026-11-10T00:00:00.000Z' })).toEqual(['a']);
    expect(ids(all, { found: new Set(['b']) })).toEqual(['b']);
  });

  it('counts what is unread in mine and who waits', () => {
    const all = known(
      conversation('a', { agent: me, unread: 2 }), conversation('b', { agent: me, unread: 1, state: 'closed' }),
      conversation('c', { unread: 4, state: 'waiting' }), conversation('d', { unread: 1, agent: { id: 'x', name: 'X' } }),
    );
    expect(counts(all, 'me')).toEqual({ unread: 2, waiting: 1 });
  });
});

describe('messages', () => {
  it('merges pages and live events by position, each message once', () => {
    const live = merge(undefined, [message(3)], true);
    const loaded = merge(live, [message(3), message(2), message(1)], false);
    expect(loaded.messages.map((each) => each.pos)).toEqual([1, 2, 3]);
    expect(loaded.more).toBe(false);
  });

  it('stays loading while only live events arrive', () => {
    const placeholder = { messages: [], more: false, loading: true };
    expect(merge(placeholder, [message(1)]).loading).toBe(true);
    expect(merge(placeholder, [message(1)], false).loading).toBe(false);
  });

  it('never takes a delivery back', () => {
    const read = { state: 'read' as const, reason: null, attempts: 1 };
    const loaded = deliver(merge(undefined, [message(1, { delivery: { state: 'sent', reason: null, attempts: 1 } })]), 'm1', read);
    const late = merge(loaded, [message(1, { delivery: { state: 'queued', reason: null, attempts: 0 } })]);
    expect(late.messages[0]?.delivery).toEqual(read);
  });

  it('takes watermarks for everything up to a number, but not for what failed', () => {
    const sent = { state: 'sent' as const, reason: null, attempts: 1 };
    const failed = { state: 'failed' as const, reason: 'gone', attempts: 5 };
    const loaded = merge(undefined, [message(1, { delivery: sent }), message(2, { delivery: failed }), message(3, { delivery: sent }), message(4, { direction: 'inbound' })]);
    const after = seen(loaded, 3, 1);
    expect(after.messages.map((each) => each.delivery?.state)).toEqual(['read', 'failed', 'delivered', undefined]);
    expect(lastInbound(loaded)).toBe(4);
  });
});

describe('words', () => {
  it('has the same blanks in both languages', () => {
    const blanks = (text: string): string => (text.match(/\{\w+\}/g) ?? []).sort().join();
    for (const [key, text] of Object.entries(en)) expect(`${key} ${blanks(zh[key as keyof typeof zh])}`).toBe(`${key} ${blanks(text)}`);
  });
});

describe('routes', () => {
  it('reads addresses, also wrong ones', async () => {
    vi.stubGlobal('location', { hash: '' });
    vi.stubGlobal('addEventListener', () => undefined);
    const { hrefFor, parseRoute } = await import('../../src/console/state/router');
    expect(parseRoute('#/waiting/c1')).toEqual({ page: 'inbox', view: 'waiting', work: 'mine', id: 'c1' });
    expect(parseRoute('#/dead/a%23replay-1')).toEqual({ page: 'dead', view: 'mine', work: 'mine', id: 'a#replay-1' });
    expect(parseRoute('#/nonsense/%E0%A4%A')).toEqual({ page: 'inbox', view: 'mine', work: 'mine', id: '%E0%A4%A' });
    expect(parseRoute(hrefFor({ page: 'dead', id: 'a#replay-1' })).id).toBe('a#replay-1');
    expect(parseRoute('#/tickets')).toEqual({ page: 'tickets', view: 'mine', work: 'mine' });
    expect(parseRoute(hrefFor({ page: 'tickets', work: 'closed', id: 't1' }))).toEqual({ page: 'tickets', view: 'mine', work: 'closed', id: 't1' });
    vi.unstubAllGlobals();
  });
});
