// Which tickets a list shows, and how a ticket's history comes together.
import { describe, expect, it } from 'vitest';
import type { Delivery, Entry, Message, Ticket, TicketView } from '../../src/console/api/types';
import { deliverEntry, earlier, mergeEntries, missing, said } from '../../src/console/state/history';
import { upsert } from '../../src/console/state/paged';
import { visibleTickets } from '../../src/console/state/work';

function ticket(id: string, more: Partial<Ticket> = {}): Ticket {
  const at = '2026-11-20T08:00:00.000Z';
  return {
    id, number: `T-2026-${id}`, version: 1, state: 'new', severity: 'minor', category: null, title: id, channel: { id: 'freezers', kind: 'mqtt' }, device: 'd', device_name: null,
    code: 'E1', conversation_id: 'c', group: null, agent: null, waiting_since: at, n_raised: 1, n_flaps: 0, settles_at: null, first_raised_at: at, raised_at: at, cleared_at: null,
    created_at: at, updated_at: at, closed_at: null, last_pos: 1, ...more,
  };
}

const me = { id: 'me', name: 'Me' };
const all = upsert(new Map<string, Ticket>(), [
  ticket('late', { waiting_since: '2026-11-20T09:00:00.000Z' }),
  ticket('early'),
  ticket('bad', { severity: 'critical', waiting_since: '2026-11-20T10:00:00.000Z' }),
  ticket('again', { severity: 'major', state: 'reopened' }),
  ticket('mine', { state: 'processing', agent: me, updated_at: '2026-11-20T12:00:00.000Z' }),
  ticket('theirs', { state: 'pending_confirmation', agent: { id: 'x', name: 'X' } }),
  ticket('done', { state: 'done', agent: me }),
  ticket('gone', { state: 'cancelled', updated_at: '2026-11-21T08:00:00.000Z' }),
]);
const ids = (view: TicketView, list: Partial<Parameters<typeof visibleTickets>[2]> = {}): string[] =>
  visibleTickets(all, view, { filters: {}, found: undefined, horizon: undefined, ...list }, 'me').map((each) => each.id);

describe('lists of tickets', () => {
  it('shows those who wait worst first, then longest waiting first', () => {
    expect(ids('waiting')).toEqual(['bad', 'again', 'early', 'late']);
  });

  it('shows mine and all that are open, newest activity first, and the closed ones by themselves', () => {
    expect(ids('mine')).toEqual(['mine']);
    expect(ids('open')).toEqual(['mine', 'again', 'bad', 'early', 'late', 'theirs']);
    expect(ids('closed')).toEqual(['gone', 'done']);
  });

  it('filters, keeps to what a search found, and shows no holes', () => {
    expect(ids('open', { filters: { severity: 'critical' } })).toEqual(['bad']);
    expect(ids('open', { filters: { agent: 'x' } })).toEqual(['theirs']);
    expect(ids('open', { found: new Set(['done']) })).toEqual(['done']);
    expect(ids('open', { horizon: '2026-11-20T11:00:00.000Z' })).toEqual(['mine']);
  });
});

const queued: Delivery = { state: 'queued', reason: null, attempts: 0 };
const expired: Delivery = { state: 'expired', reason: 'the device was away', attempts: 1 };

function entry(pos: number, more: Partial<Entry> = {}): Entry {
  return { pos, kind: 'raised', agent: null, at: '2026-11-20T08:00:00.000Z', occurred_at: null, text: null, data: {}, message_id: null, message: null, ...more };
}

function sent(pos: number, delivery: Delivery): Entry {
  const message: Message = { id: `m${pos}`, pos, seq: null, kind: 'message', direction: 'outbound', from: { kind: 'agent', ...me }, content: [{ type: 'command', name: 'reset' }], at: '2026-11-20T08:00:00.000Z', delivery };
  return entry(pos, { kind: 'sent', message_id: message.id, message });
}

describe('history', () => {
  it('puts pages together by position, each line once', () => {
    expect(mergeEntries([entry(4), entry(5)], [entry(5), entry(2), entry(3)]).map((each) => each.pos)).toEqual([2, 3, 4, 5]);
  });

  it('shows how far a command got, and never takes it back', () => {
    const after = deliverEntry([sent(1, queued), entry(2)], 'm1', expired);
    expect(after[0]?.message?.delivery).toEqual(expired);
    expect(mergeEntries(after, [sent(1, queued)])[0]?.message?.delivery).toEqual(expired);
  });

  it('asks for what is new, and begins at the end when too much is new', () => {
    expect(missing([], { last_pos: 3 }, 100)).toEqual({ after: 0, anew: true });
    expect(missing([], { last_pos: 250 }, 100)).toEqual({ after: 150, anew: true });
    expect(missing([entry(150), entry(250)], { last_pos: 260 }, 100)).toEqual({ after: 250, anew: false });
    expect(missing([entry(250)], { last_pos: 351 }, 100)).toEqual({ after: 251, anew: true });
  });

  it('asks for earlier lines page by page, down to the first', () => {
    expect(earlier([entry(251)], 100)).toEqual({ after: 150, limit: 100 });
    expect(earlier([entry(51)], 100)).toEqual({ after: 0, limit: 50 });
    expect(earlier([entry(1)], 100)).toBeUndefined();
    expect(earlier([], 100)).toBeUndefined();
  });

  it('takes a note for something said by its agent', () => {
    const note = said(entry(3, { kind: 'note', agent: me, text: 'door seal' }));
    expect(note).toMatchObject({ kind: 'note', from: { kind: 'agent', id: 'me' }, content: [{ type: 'text', text: 'door seal' }] });
    expect(said(entry(4, { kind: 'settled' }))).toBeUndefined();
  });
});
