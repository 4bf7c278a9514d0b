// Which conversations a list shows, and in which order: pure, so that live events and pages loaded by cursor agree.
import type { Filters } from '../api/calls';
import type { Conversation, View } from '../api/types';

export type Known = ReadonlyMap<string, Conversation>;

export function isDone(conversation: Conversation): boolean {
  return conversation.state === 'resolved' || conversation.state === 'closed';
}

export function inView(conversation: Conversation, view: View, me: string): boolean {
  if (view === 'mine') return me !== '' && conversation.agent?.id === me && !isDone(conversation);
  if (view === 'waiting') return conversation.state === 'waiting' || conversation.state === 'new';
  return true;
}

export function passes(conversation: Conversation, filters: Filters): boolean {
  if (filters.state && conversation.state !== filters.state) return false;
  if (filters.channel && conversation.channel.id !== filters.channel) return false;
  if (filters.group && conversation.group?.id !== filters.group) return false;
  return !filters.agent || conversation.agent?.id === filters.agent;
}

export interface Listing {
  view: View;
  filters: Filters;
  me: string;
  /** Result of a search: only the server knows what matches, so membership is fixed. */
  found?: ReadonlySet<string>;
  /** Activity of the oldest conversation loaded, while there are more pages: older ones would leave holes. */
  horizon?: string;
}

export function visible(known: Known, listing: Listing): Conversation[] {
  const { view, filters, me, found, horizon } = listing;
  const items = [...known.values()].filter((each) => {
    if (found) return found.has(each.id);
    return inView(each, view, me) && passes(each, filters) && (!horizon || each.updated_at >= horizon);
  });
  const waiting = view === 'waiting' && !found;
  return items.sort((a, b) => (waiting ? byWaiting(a, b) : 0) || b.updated_at.localeCompare(a.updated_at) || a.id.localeCompare(b.id));
}

function byWaiting(a: Conversation, b: Conversation): number {
  return since(a).localeCompare(since(b)) || a.id.localeCompare(b.id);
}

function since(conversation: Conversation): string {
  return conversation.waiting_since ?? conversation.created_at;
}

/**
 * Places in line, per group. The server tells a conversation's place only when that conversation changes, but everybody
 * moves up when the first one is taken; so they are counted here, once all who wait are known.
 */
export function places(known: Known): ReadonlyMap<string, number> {
  const waiting = [...known.values()].filter((each) => inView(each, 'waiting', '')).sort(byWaiting);
  const lines = new Map<string, number>();
  const found = new Map<string, number>();
  for (const each of waiting) {
    const line = each.group?.id ?? '';
    const place = (lines.get(line) ?? 0) + 1;
    lines.set(line, place);
    found.set(each.id, place);
  }
  return found;
}

/** Unread messages of my open conversations, and how many people wait. */
export function counts(known: Known, me: string): { unread: number; waiting: number } {
  let unread = 0;
  let waiting = 0;
  for (const each of known.values()) {
    if (inView(each, 'mine', me)) unread += each.unread;
    if (inView(each, 'waiting', me)) waiting += 1;
  }
  return { unread, waiting };
}
