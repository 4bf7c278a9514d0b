// The chat without a face: joins token, connection, message log and outbox. The user interface listens and draws.
import { backoff } from '../shared/backoff';
import type { Part, Upload } from '../shared/wire';
import { Connection, type LinkState } from './connection';
import type { ClientFrame, Identity, MessageFrame, QueueFrame, RefusedFrame, ServerFrame } from './frames';
import { call, HttpError, upload, type Fetch } from './http';
import { Log } from './log';
import { Outbox, type Pending } from './outbox';
import type { Store } from './store';
import { Timers } from './timers';
import { Visitor } from './visitor';

/** A message without an answer after this time is sent again, with the same client_id. */
const ANSWER_MS = 10_000;
/** Typing of the other side ends by itself, in case the end got lost. */
const TYPING_MS = 10_000;
/** Fetches of the same gap before it is taken as lost on the server. */
const GAP_TRIES = 2;
const HOLD = { min: 1_000, max: 30_000 };

/** What changed, for the user interface. */
export interface Listener {
  message(message: MessageFrame): void;
  changed(): void;
}

export interface ClientSetup {
  base: string;
  store: Store;
  locale: string;
  listener: Listener;
  fetch?: Fetch;
  WebSocket?: typeof WebSocket;
}

export class ChatClient {
  readonly #setup: ClientSetup;
  readonly log: Log;
  readonly outbox: Outbox;
  readonly visitor: Visitor;
  link: LinkState = 'idle';
  queue: Omit<QueueFrame, 'type'> | undefined;
  typing: { name?: string } | undefined;
  readonly #connection: Connection;
  readonly #fetcher: Fetch;
  #inflight: string | undefined;
  readonly #timers = new Timers<'answer' | 'hold' | 'typing' | 'delivered'>();
  #refusals = 0;
  #gap = { at: -1, tries: 0 };
  #delivered = 0;
  readonly #unwatch: () => void;

  constructor(setup: ClientSetup) {
    this.#setup = setup;
    this.#fetcher = setup.fetch ?? ((input, init) => fetch(input, init));
    this.log = new Log(setup.store);
    this.outbox = new Outbox(setup.store);
    this.visitor = new Visitor(setup.store, setup.base, this.#fetcher, setup.locale, (before, now) => {
      if (now.visitor === this.log.visitor) return;
      this.outbox.changeVisitor(this.log.visitor, now.visitor, !before?.verified);
      this.log.reset(now.visitor);
      setup.listener.changed();
    });
    this.#connection = new Connection({
      base: setup.base,
      fetch: this.#fetcher,
      WebSocket: setup.WebSocket ?? WebSocket,
      token: (fresh) => this.visitor.token(fresh),
      after: () => this.log.seq,
      frame: (frame) => this.#receive(frame),
      state: (state) => this.#linkChanged(state),
    });
    this.#unwatch = setup.store.watch((key) => {
      if (key === 'log') this.log.adopt();
      else if (key === 'visitor') {
        if (!this.visitor.adopt()) return;
        if (this.link === 'idle') this.start();
        else this.#connection.restart();
      } else if (!this.outbox.changedElsewhere(key)) return;
      this.#pump();
      setup.listener.changed();
    });
  }

  start(): void {
    this.#connection.start();
  }

  wake(): void {
    this.#connection.wake();
  }

  destroy(): void {
    this.#unwatch();
    this.#connection.stop();
    this.#timers.clearAll();
  }

  /** Queues a message; false when too many are waiting already. */
  send(content: Part[]): boolean {
    if (this.outbox.full) return false;
    this.outbox.add(content, this.log.visitor);
    this.start();
    this.#pump();
    this.#setup.listener.changed();
    return true;
  }

  retry(clientId: string): void {
    this.outbox.retry(clientId);
    this.#pump();
    this.#setup.listener.changed();
  }

  discard(clientId: string): void {
    this.outbox.remove(clientId);
    this.#setup.listener.changed();
  }

  setTyping(on: boolean): void {
    this.#connection.send({ type: 'typing', on });
  }

  /** Everything shown so far has been seen by the visitor. */
  markRead(): void {
    if (!this.log.markRead(this.log.seq)) return;
    this.#tellSeen({ type: 'seen', read: this.log.read });
    this.#setup.listener.changed();
  }

  /** Signs the visitor in (or, with undefined, forgets the identity for later renewals). */
  identify(identity: Identity | undefined): void {
    this.visitor.identity = identity;
    this.visitor.ask();
    if (this.link === 'idle') this.start();
    else this.#connection.restart();
  }

  async upload(file: Blob, name: string, progress: (share: number) => void, signal: AbortSignal): Promise<Upload> {
    const url = `${this.#setup.base}/uploads?name=${encodeURIComponent(name)}`;
    for (let attempt = 0; ; attempt++) {
      try {
        const token = await this.visitor.token(false);
        return await upload(url, token, file, progress, signal);
      } catch (error) {
        if (signal.aborted || attempt >= 4 || !(error instanceof HttpError) || !error.retry) throw error;
        const pause = error.retryAfterMs ?? backoff(attempt, HOLD);
        await new Promise((done) => setTimeout(done, pause));
      }
    }
  }

  #receive(frame: ServerFrame): void {
    switch (frame.type) {
      case 'message':
        return this.#receiveMessage(frame);
      case 'ready': {
        // A server that counts from the start again has lost its past (restored from a backup, say).
        if (frame.seq < this.log.seq) {
          this.log.reset(frame.visitor);
          return this.#connection.restart();
        }
        if (frame.seq > this.log.seq) return this.#missed(this.log.seq + 1, frame.seq + 1);
        this.queue = frame.queue;
        this.#delivered = frame.delivered;
        this.log.markRead(frame.read);
        this.log.markAgentRead(frame.agent_read ?? 0);
        if (this.log.read > frame.read) this.#tellSeen({ type: 'seen', read: this.log.read });
        break;
      }
      case 'accepted':
        this.#settled(frame.client_id);
        this.outbox.accepted(frame.client_id);
        this.#pump();
        break;
      case 'refused':
        this.#refusedFrame(frame);
        break;
      case 'typing':
        this.#showTyping(frame.on, frame.name);
        break;
      case 'seen':
        if (!this.log.markAgentRead(frame.read)) return;
        break;
      case 'queue':
        this.queue = frame;
        break;
      case 'pong':
        if (frame.seq > this.log.seq) this.#connection.restart();
        return;
      default:
        return;
    }
    this.#setup.listener.changed();
  }

  #receiveMessage(frame: MessageFrame): void {
    const verdict = this.log.accept(frame);
    if (verdict === 'repeat') return;
    if (verdict === 'gap') return this.#missed(frame.seq, frame.seq);
    if (frame.from === 'visitor') {
      this.#settled(frame.client_id);
      this.outbox.remove(frame.client_id);
      this.#pump();
    } else {
      this.#showTyping(false);
      this.#ackDelivered();
    }
    this.#setup.listener.message(frame);
    this.#setup.listener.changed();
  }

  /** Something between was lost on the way: fetch again; if the server itself no longer has it, go on behind it. */
  #missed(at: number, goOn: number): void {
    this.#gap = this.#gap.at === at ? { at, tries: this.#gap.tries + 1 } : { at, tries: 1 };
    if (this.#gap.tries > GAP_TRIES) this.log.skipTo(goOn);
    this.#connection.restart();
  }

  #linkChanged(state: LinkState): void {
    this.link = state;
    if (state !== 'socket') this.typing = undefined;
    if (state === 'socket' || state === 'polling') this.#pump();
    else this.#settled(this.#inflight);
    this.#setup.listener.changed();
  }

  /** Sends the oldest waiting message, one at a time: the order of the visitor's words is kept over every repeat. */
  #pump(): void {
    const item = this.outbox.head();
    if (!item || this.#inflight) return;
    const wait = item.due - Date.now();
    if (wait > 0) return this.#timers.set('hold', wait, () => this.#pump());
    const sentAt = new Date(item.at).toISOString();
    const frame: ClientFrame = { type: 'message', client_id: item.client_id, content: item.content, sent_at: sentAt };
    if (this.#connection.send(frame)) {
      this.#inflight = item.client_id;
      this.#timers.set('answer', ANSWER_MS, () => this.#connection.restart());
    } else if (this.link === 'polling') {
      this.#inflight = item.client_id;
      void this.#post(item, frame);
    }
  }

  async #post(item: Pending, frame: ClientFrame): Promise<void> {
    try {
      const token = await this.visitor.token(false);
      await call(this.#fetcher, `${this.#setup.base}/messages`, { method: 'POST', token, body: frame });
      this.#receive({ type: 'accepted', client_id: item.client_id, id: '' });
    } catch (error) {
      const problem = error instanceof HttpError ? error : new HttpError(0, 'offline', undefined);
      const refused: RefusedFrame = { type: 'refused', client_id: item.client_id, code: problem.code, detail: '', retry: problem.retry || problem.status === 401 };
      if (problem.retryAfterMs !== undefined) refused.retry_after_ms = problem.retryAfterMs;
      this.#receive(refused);
    }
  }

  #refusedFrame(frame: RefusedFrame): void {
    const clientId = frame.client_id ?? this.#inflight;
    const item = this.outbox.find(clientId);
    this.#settled(clientId);
    if (!item) return;
    if (frame.retry) {
      item.due = Date.now() + (frame.retry_after_ms ?? backoff(this.#refusals++, HOLD));
    } else {
      this.outbox.failed(item.client_id, frame.code);
    }
    this.#pump();
  }

  #settled(clientId: string | undefined): void {
    if (clientId !== this.#inflight) return;
    this.#inflight = undefined;
    this.#timers.clear('answer');
  }

  #showTyping(on: boolean, name?: string): void {
    this.typing = on ? (name ? { name } : {}) : undefined;
    if (on) this.#timers.set('typing', TYPING_MS, () => {
      this.typing = undefined;
      this.#setup.listener.changed();
    });
  }

  /** One mark for a burst of messages. */
  #ackDelivered(): void {
    this.#timers.set('delivered', 200, () => {
      if (this.log.seq <= this.#delivered) return;
      this.#delivered = this.log.seq;
      this.#tellSeen({ type: 'seen', delivered: this.#delivered });
    });
  }

  #tellSeen(frame: ClientFrame): void {
    if (this.#connection.send(frame) || this.link !== 'polling') return;
    // A lost mark is repeated with the next one, so an error here is nobody's concern.
    void this.visitor
      .token(false)
      .then((token) => call(this.#fetcher, `${this.#setup.base}/seen`, { method: 'POST', token, body: frame }))
      .catch(() => undefined);
  }
}
