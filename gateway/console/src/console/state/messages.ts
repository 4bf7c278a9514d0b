// The messages of one conversation, by `pos`: pages from the API and live events merge into one ordered list.
import type { Delivery, Message } from '../api/types';

export interface Loaded {
  messages: Message[];
  /** More, older ones are on the server. */
  more: boolean;
  /** The first page is on its way. */
  loading?: boolean;
}

/** Delivery only gets better, and a failure is final; a page loaded late must not take it back. */
const RANK: Record<Delivery['state'], number> = { queued: 0, accepted: 1, sent: 2, unknown: 2, delivered: 3, read: 4, failed: 5, expired: 5 };

export function merge(loaded: Loaded | undefined, incoming: Message[], more?: boolean): Loaded {
  const byId = new Map((loaded?.messages ?? []).map((message) => [message.id, message]));
  for (const message of incoming) {
    const before = byId.get(message.id);
    byId.set(message.id, before ? { ...message, delivery: better(before.delivery, message.delivery) } : message);
  }
  const messages = [...byId.values()].sort((a, b) => a.pos - b.pos);
  return { messages, more: more ?? loaded?.more ?? false, loading: more === undefined && loaded?.loading === true };
}

export function deliver(loaded: Loaded, messageId: string, delivery: Delivery): Loaded {
  const messages = loaded.messages.map((message) => (message.id === messageId ? { ...message, delivery } : message));
  return { ...loaded, messages };
}

/** The contact's watermarks: everything up to a number was delivered, or read. */
export function seen(loaded: Loaded, delivered: number, read: number): Loaded {
  const messages = loaded.messages.map((message) => {
    if (message.direction !== 'outbound' || message.seq === null || !message.delivery) return message;
    const state = message.seq <= read ? 'read' : message.seq <= delivered ? 'delivered' : undefined;
    if (!state) return message;
    return { ...message, delivery: better(message.delivery, { ...message.delivery, state }) };
  });
  return { ...loaded, messages };
}

/** The newest number the contact's side has sent: what we have read when it is on the screen. */
export function lastInbound(loaded: Loaded): number {
  return loaded.messages.reduce((seq, message) => (message.kind === 'message' && message.direction === 'inbound' ? Math.max(seq, message.seq ?? 0) : seq), 0);
}

/** The one of two words on a delivery that holds. */
export function better(one: Delivery | null, other: Delivery | null): Delivery | null {
  if (!one || !other) return other ?? one;
  return RANK[other.state] >= RANK[one.state] ? other : one;
}

/** The event of a reply may overtake the answer to its call; then it is in the list already. */
export function pending<S extends { content: unknown; at: number; state: string }>(sends: S[], messages: Message[], me: string): S[] {
  return sends.filter((send) => {
    if (send.state === 'failed') return true;
    const content = JSON.stringify(send.content);
    return !messages.some((message) => message.from.id === me && Date.parse(message.at) >= send.at - 2_000 && JSON.stringify(message.content) === content);
  });
}
