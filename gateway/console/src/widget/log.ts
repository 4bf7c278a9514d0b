// The visitor's messages by number. Numbers are gapless per visitor, so a jump means that something was missed.
import type { MessageFrame } from './frames';
import type { Store } from './store';

/** Messages kept for the next page load; older ones are dropped from view there. */
export const LOG_KEPT_MAX = 200;

interface Kept {
  visitor: string;
  seq: number;
  read: number;
  agentRead: number;
  messages: MessageFrame[];
}

export type Verdict = 'shown' | 'repeat' | 'gap';

export class Log {
  readonly #store: Store;
  visitor = '';
  /** The greatest number shown without a gap. */
  seq = 0;
  /** This visitor's own read watermark. */
  read = 0;
  /** How far agents have read. */
  agentRead = 0;
  messages: MessageFrame[] = [];

  constructor(store: Store) {
    this.#store = store;
    const kept = store.get<Kept>('log');
    if (kept && Array.isArray(kept.messages)) Object.assign(this, kept);
  }

  /** Takes a message if it is the next one. A gap changes nothing: the caller fetches again after `seq`. */
  accept(frame: MessageFrame): Verdict {
    if (frame.seq <= this.seq) return 'repeat';
    if (frame.seq > this.seq + 1) return 'gap';
    this.seq = frame.seq;
    this.messages.push(frame);
    this.#save();
    return 'shown';
  }

  /** The server no longer has what lies before `seq`: go on from there. */
  skipTo(seq: number): void {
    this.seq = seq - 1;
  }

  /** Raises the read watermark; says whether it moved. */
  markRead(read: number): boolean {
    const next = Math.min(read, this.seq);
    if (next <= this.read) return false;
    this.read = next;
    this.#save();
    return true;
  }

  /** Raises the agents' read watermark; says whether it moved. */
  markAgentRead(read: number): boolean {
    if (read <= this.agentRead) return false;
    this.agentRead = read;
    this.#save();
    return true;
  }

  get unread(): number {
    return this.messages.filter((message) => message.from !== 'visitor' && message.seq > this.read).length;
  }

  /** Another visitor, or a server that lost its past: start from nothing. */
  reset(visitor: string): void {
    Object.assign(this, { visitor, seq: 0, read: 0, agentRead: 0, messages: [] });
    this.#save();
  }

  /** Another tab has saved: take over what it has read, the messages come by this tab's own socket. */
  adopt(): void {
    const kept = this.#store.get<Kept>('log');
    if (kept?.visitor === this.visitor) this.read = Math.max(this.read, Math.min(kept.read, this.seq));
  }

  // One value for number and messages: whichever tab writes last, the two always fit together.
  #save(): void {
    const { visitor, seq, read, agentRead } = this;
    this.messages = this.messages.slice(-LOG_KEPT_MAX);
    this.#store.set('log', { visitor, seq, read, agentRead, messages: this.messages } satisfies Kept);
  }
}
