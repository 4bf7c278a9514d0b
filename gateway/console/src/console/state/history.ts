// A ticket's history, by `pos`: pages from the API and live words on deliveries merge into one ordered list. Pure.
import type { Delivery, Entry, Message, Ticket } from '../api/types';
import { better } from './messages';

export function mergeEntries(entries: Entry[], incoming: Entry[]): Entry[] {
  const byPos = new Map(entries.map((entry) => [entry.pos, entry]));
  for (const entry of incoming) {
    const before = byPos.get(entry.pos)?.message;
    const message = before && entry.message ? { ...entry.message, delivery: better(before.delivery, entry.message.delivery) } : entry.message;
    byPos.set(entry.pos, { ...entry, message });
  }
  return [...byPos.values()].sort((a, b) => a.pos - b.pos);
}

export function deliverEntry(entries: Entry[], messageId: string, delivery: Delivery): Entry[] {
  return entries.map((entry) => {
    if (entry.message?.id !== messageId) return entry;
    return { ...entry, message: { ...entry.message, delivery: better(entry.message.delivery, delivery) } };
  });
}

/** What was said on a line, as a message: a report, what was sent, or a note. */
export function said(entry: Entry): Message | undefined {
  if (entry.message) return entry.message;
  if (entry.kind !== 'note' || !entry.text) return undefined;
  const from: Message['from'] = { kind: entry.agent ? 'agent' : 'system', id: entry.agent?.id ?? null, name: entry.agent?.name ?? null };
  return {
    id: `note ${entry.pos}`, pos: entry.pos, seq: null, kind: 'note', direction: null, from,
    content: [{ type: 'text', text: entry.text }], at: entry.at, delivery: null,
  };
}

/** Which lines to ask for: those after what is here, or, when there is nothing or too much between, the newest ones. */
export function missing(entries: Entry[], ticket: Pick<Ticket, 'last_pos'>, page: number): { after: number; anew: boolean } {
  const newest = entries[entries.length - 1]?.pos ?? 0;
  const anew = newest === 0 || ticket.last_pos - newest > page;
  return { after: anew ? Math.max(0, ticket.last_pos - page) : newest, anew };
}

/** Which lines come before the oldest one here. */
export function earlier(entries: Entry[], page: number): { after: number; limit: number } | undefined {
  const oldest = entries[0]?.pos ?? 1;
  if (oldest <= 1) return undefined;
  const after = Math.max(0, oldest - 1 - page);
  return { after, limit: oldest - 1 - after };
}
