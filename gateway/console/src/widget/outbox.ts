// Messages written but not yet accepted. Each has its own storage key, so that two tabs never overwrite each other's.
import { randomId } from '../shared/id';
import type { Part } from '../shared/wire';
import type { Store } from './store';

/** Unsent messages at most; past it the composer says so instead of taking another. */
export const OUTBOX_MAX = 50;
/** A message that waited longer is not sent behind the visitor's back; it asks for a click. */
export const STALE_MS = 24 * 3600_000;
/** A message of another tab is sent by this one when that tab did not manage in this time (it may be closed). */
export const FOREIGN_MS = 15_000;

export interface Pending {
  client_id: string;
  content: Part[];
  at: number;
  visitor: string;
  state: 'sending' | 'sent' | 'failed';
  /** Why it failed: a `refused.code` or `stale`. */
  code?: string;
  /** Not before this moment, because the server said so. */
  due: number;
}

type Kept = Pick<Pending, 'client_id' | 'content' | 'at' | 'visitor' | 'code'>;

const KEY = 'out:';

export class Outbox {
  readonly #store: Store;
  readonly #now: () => number;
  items: Pending[] = [];

  constructor(
    store: Store,
    now: () => number = Date.now,
  ) {
    this.#store = store;
    this.#now = now;
    for (const key of store.keys(KEY)) this.#load(key, 0);
    this.#sort();
  }

  get full(): boolean {
    return this.items.filter((item) => item.state !== 'sent').length >= OUTBOX_MAX;
  }

  add(content: Part[], visitor: string): Pending {
    const item: Pending = { client_id: randomId(), content, at: this.#now(), visitor, state: 'sending', due: 0 };
    this.items.push(item);
    this.#keep(item);
    return item;
  }

  /** The oldest message still to be sent; messages go one after the other so that they keep their order. */
  head(): Pending | undefined {
    return this.items.find((item) => item.state === 'sending');
  }

  find(clientId: string | undefined): Pending | undefined {
    return this.items.find((item) => item.client_id === clientId);
  }

  /**
   * The server has it for good. It is kept until it comes back with its number, so that a reload in between still shows it;
   * sending it again then does no harm.
   */
  accepted(clientId: string): void {
    const item = this.find(clientId);
    if (item) item.state = 'sent';
  }

  failed(clientId: string, code: string): void {
    const item = this.find(clientId);
    if (!item) return;
    item.state = 'failed';
    item.code = code;
    this.#keep(item);
  }

  retry(clientId: string): void {
    const item = this.find(clientId);
    if (!item || item.state !== 'failed') return;
    delete item.code;
    item.state = 'sending';
    item.due = 0;
    item.at = this.#now();
    this.#keep(item);
    // Retried now, so it goes behind what is already on its way.
    this.#sort();
  }

  /** Came back with its number, or was thrown away. */
  remove(clientId: string | undefined): void {
    this.items = this.items.filter((item) => item.client_id !== clientId);
    if (clientId) this.#store.remove(KEY + clientId);
  }

  /** A stranger's words are not sent in the name of whoever signs in next; an anonymous visitor's own are. */
  changeVisitor(from: string, to: string, carryOver: boolean): void {
    for (const item of [...this.items]) {
      if (item.visitor !== from) continue;
      if (!carryOver || item.state === 'sent') {
        this.remove(item.client_id);
      } else {
        item.visitor = to;
        this.#keep(item);
      }
    }
  }

  /** Another tab wrote or removed a key. */
  changedElsewhere(key: string): boolean {
    if (!key.startsWith(KEY)) return false;
    const item = this.find(key.slice(KEY.length));
    const stored = this.#store.get<Kept>(key);
    if (!item && stored) this.#load(key, this.#now() + FOREIGN_MS);
    if (item && !stored) {
      // Thrown away there, or come back with its number, which our own link will tell in a moment.
      if (item.state === 'failed') this.remove(item.client_id);
      else item.state = 'sent';
    }
    this.#sort();
    return true;
  }

  #load(key: string, due: number): void {
    const kept = this.#store.get<Kept>(key);
    if (!kept?.client_id || !Array.isArray(kept.content)) return;
    const stale = this.#now() - kept.at > STALE_MS;
    const code = kept.code ?? (stale ? 'stale' : undefined);
    this.items.push({ ...kept, due, state: code ? 'failed' : 'sending', ...(code ? { code } : {}) });
  }

  #keep({ client_id, content, at, visitor, code }: Pending): void {
    const kept: Kept = { client_id, content, at, visitor };
    this.#store.set(KEY + client_id, code ? { ...kept, code } : kept);
  }

  #sort(): void {
    this.items.sort((a, b) => a.at - b.at);
  }
}
