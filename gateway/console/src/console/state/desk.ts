// One signed-in agent's desk: what is known of conversations, messages and colleagues, kept fresh by live events.
import { computed, signal } from '@preact/signals';
import { Calls, everything, type Filters, type Order } from '../api/calls';
import { ApiError, Http } from '../api/http';
import { Live } from '../api/live';
import type { Agent, Channel, Conversation, Group, LiveEvent, Named, Presence, Role, View } from '../api/types';
import { randomId } from '../../shared/id';
import { chime } from './alerts';
import { Drafts, keep, load } from './keep';
import { counts, inView, places, visible, type Listing } from './lists';
import { deliver, lastInbound, merge, seen, type Loaded } from './messages';
import { explain, Lists } from './paged';
import { route } from './router';
import { Sender, type Send } from './sender';
import { Tickets } from './tickets';

const RANK: Role[] = ['auditor', 'agent', 'supervisor', 'admin'];
/** Threads kept in memory; the least recently opened goes first. */
const THREADS_MAX = 30;
/** A lossy "is writing" ends by itself. */
const SIGNAL_MS = 8_000;

export interface Writing {
  conversation: string;
  who: Named;
  kind: 'contact' | 'agent';
  until: number;
}

export class Desk {
  readonly calls: Calls;
  readonly live: Live;
  readonly sender: Sender;
  readonly drafts: Drafts;
  readonly me = signal<Agent>(undefined as never);
  /** Conversations. */
  readonly lists: Lists<Conversation, View, Filters>;
  readonly tickets: Tickets;
  readonly threads = signal<ReadonlyMap<string, Loaded>>(new Map());
  readonly agents = signal<Agent[]>([]);
  readonly groups = signal<Group[]>([]);
  readonly channels = signal<Channel[]>([]);
  readonly sends = signal<Send[]>([]);
  readonly writing = signal<Writing[]>([]);
  readonly online = signal(true);
  readonly notice = signal<{ text: string; bad: boolean } | undefined>(undefined);
  readonly counts = computed(() => counts(this.lists.known.value, this.me.value.id));
  /** Places in line, when all who wait are known. */
  private readonly places = computed(() => {
    const { loading, next, filters } = this.lists.views.value.waiting;
    return loading || next || Object.values(filters).some(Boolean) ? undefined : places(this.lists.known.value);
  });
  readonly unread = computed(() => this.counts.value.unread);

  constructor(me: Agent, http: Http) {
    this.me.value = me;
    this.calls = new Calls(http);
    const nothing = { items: [], next: null };
    // Who is no agent has nothing of their own.
    this.lists = new Lists(['mine', 'waiting', 'all'], async (view, filters, cursor) =>
      view === 'mine' && !me.id ? nothing : this.calls.conversations(view, filters, cursor),
    );
    this.tickets = new Tickets(this);
    this.drafts = new Drafts(me.id);
    this.live = new Live({
      ticket: this.calls.ticket,
      url: new URL('/api/v1/events', location.href).href.replace(/^http/, 'ws'),
      WebSocket,
      event: (event) => this.receive(event),
      ready: (fresh) => fresh && this.reload(),
      state: (online) => this.onlineChanged(online),
    });
    const saved = `sends.${me.id}`;
    this.sender = new Sender(
      {
        send: ({ kind, conversation, ticket, content, expires_in, key }) => {
          const path = ticket ? `/tickets/${ticket}` : `/conversations/${conversation}`;
          const body = kind === 'reply' ? { content, ...(expires_in ? { expires_in } : {}) } : { text: content[0]?.text ?? '' };
          return this.calls.command(`${path}/${kind}`, body, key);
        },
        outcome: this.calls.outcome,
        save: (sends) => keep(saved, sends.length ? sends : undefined),
        changed: (sends) => (this.sends.value = sends),
        done: (send, message) => {
          if (send.ticket) void this.tickets.refresh();
          if (message) this.mergeThread(send.conversation, (loaded) => loaded && merge(loaded, [message]));
        },
      },
      load<Send[]>(saved) ?? [],
    );
  }

  start(): void {
    void this.live.start();
    this.sender.start();
  }

  stop(): void {
    this.live.stop();
    this.sender.stop();
  }

  may(role: Role): boolean {
    return RANK.indexOf(this.me.value.role) >= RANK.indexOf(role);
  }

  place(conversation: Conversation): number | null {
    return this.places.value ? (this.places.value.get(conversation.id) ?? null) : conversation.position;
  }

  listing(view: View): Listing {
    const { filters, found, horizon } = this.lists.views.value[view];
    return { view, filters, me: this.me.value.id, ...(found ? { found } : {}), ...(horizon ? { horizon } : {}) };
  }

  visible(view: View): Conversation[] {
    return visible(this.lists.known.value, this.listing(view));
  }

  /** Makes sure that a conversation and its newest messages are here. */
  async openThread(id: string): Promise<void> {
    try {
      if (!this.lists.known.value.has(id)) this.lists.keep([await this.calls.conversation(id)]);
      if (this.threads.value.has(id)) return;
      // Live events that arrive while the page is on its way are merged into it instead of being missed.
      this.mergeThread(id, () => ({ messages: [], more: false, loading: true }));
      const page = await this.calls.messages(id);
      this.mergeThread(id, (loaded) => merge(loaded, page.items, page.next !== null));
    } catch (error) {
      // Forgotten, so that opening it again tries again.
      this.threads.value = new Map([...this.threads.value].filter(([key, loaded]) => key !== id || !loaded.loading));
      this.say(explain(error), true);
    }
  }

  async loadOlder(id: string): Promise<void> {
    const first = this.threads.value.get(id)?.messages[0];
    if (!first) return;
    try {
      const page = await this.calls.messages(id, first.pos);
      this.mergeThread(id, (loaded) => merge(loaded, page.items, page.next !== null));
    } catch (error) {
      this.say(explain(error), true);
    }
  }

  /** The agent has the newest message before their eyes. */
  async markRead(id: string): Promise<void> {
    const conversation = this.lists.known.value.get(id);
    const loaded = this.threads.value.get(id);
    if (!conversation?.unread || !loaded || !this.may('agent')) return;
    // Onlookers must not make the visitor believe that somebody answers.
    if (!conversation.agent || conversation.agent.id !== this.me.value.id) return;
    this.lists.keep([{ ...conversation, unread: 0 }]);
    await this.calls.read(id, lastInbound(loaded)).catch(() => undefined);
  }

  /** A guarded change of a conversation. */
  order(id: string, order: Order, body: object = {}): Promise<boolean> {
    return this.command(`/conversations/${id}/${order}`, body);
  }

  /** Does what is asked, once; the event that follows shows it, the sentence says what went wrong. */
  async command(path: string, body: object): Promise<boolean> {
    const key = randomId();
    for (let attempt = 0; ; attempt++) {
      try {
        const outcome = await this.calls.command(path, body, key);
        if (outcome.status === 'failed') throw new ApiError(409, outcome.problem?.code ?? '', outcome.problem?.detail ?? '');
        return true;
      } catch (error) {
        if (error instanceof ApiError && error.retry && attempt < 3) {
          await new Promise((done) => setTimeout(done, error.retryAfterMs ?? 700 * 2 ** attempt));
          continue;
        }
        this.say(explain(error), true);
        return false;
      }
    }
  }

  async setPresence(presence: Presence): Promise<void> {
    try {
      const me = await this.calls.presence(presence);
      this.me.value = { ...this.me.value, ...me, role: this.me.value.role };
    } catch (error) {
      this.say(explain(error), true);
    }
  }

  say(text: string, bad = false): void {
    this.notice.value = { text, bad };
  }

  /** Everything that lists show, from the start: after sign-in, and when too much was missed. */
  private reload(): void {
    this.threads.value = new Map();
    this.lists.reload();
    this.tickets.reload();
    if (route.value.id && route.value.page === 'inbox') void this.openThread(route.value.id);
    void this.refresh(this.agents, this.calls.agents);
    void this.refresh(this.groups, this.calls.groups);
    void this.refresh(this.channels, this.calls.channels);
  }

  async refresh<T>(target: { value: T[] }, call: Parameters<typeof everything<T>>[0]): Promise<void> {
    try {
      target.value = await everything(call);
    } catch (error) {
      this.say(explain(error), true);
    }
  }

  private onlineChanged(online: boolean): void {
    const back = online && !this.online.value;
    this.online.value = online;
    if (back) this.sender.wake();
  }

  private receive(event: LiveEvent): void {
    switch (event.type) {
      case 'conversation': {
        const before = this.lists.known.value.get(event.data.id);
        this.lists.keep([event.data]);
        const me = this.me.value.id;
        if (me && event.data.agent?.id === me && before?.agent?.id !== me) chime();
        break;
      }
      case 'message': {
        const { conversation_id: id, message } = event.data;
        // A thread that is not open is fetched when it is opened; one message without its past would look like all.
        if (this.threads.value.has(id)) this.mergeThread(id, (loaded) => merge(loaded, [message]));
        this.stopWriting(id, message.from.id ?? '', message.from.kind);
        if (message.kind === 'message' && message.direction === 'inbound') this.ring(id);
        break;
      }
      case 'delivery':
        this.mergeThread(event.data.conversation_id, (loaded) => loaded && deliver(loaded, event.data.message_id, event.data.delivery));
        this.tickets.deliver(event.data.message_id, event.data.delivery);
        break;
      case 'seen':
        this.mergeThread(event.data.conversation_id, (loaded) => loaded && seen(loaded, event.data.delivered, event.data.read));
        break;
      case 'ticket':
        this.tickets.receive(event.data);
        break;
      case 'agent':
        this.agents.value = replace(this.agents.value, event.data);
        if (event.data.id === this.me.value.id) this.me.value = { ...this.me.value, ...event.data };
        break;
      case 'channel':
        void this.refresh(this.channels, this.calls.channels);
        break;
      case 'command':
        this.sender.settle(event.data);
        break;
      case 'typing':
        if (event.data.from === 'contact') this.noteWriting(event.data.conversation_id, { id: '', name: event.data.name ?? '' }, 'contact', event.data.on);
        break;
      case 'replying':
        this.noteWriting(event.data.conversation_id, event.data.agent, 'agent', event.data.on);
        break;
    }
  }

  /** A sound when it concerns this agent and is not before their eyes already. */
  private ring(id: string): void {
    const conversation = this.lists.known.value.get(id);
    const looking = document.visibilityState === 'visible' && route.value.id === id;
    const mine = !conversation || inView(conversation, 'mine', this.me.value.id) || inView(conversation, 'waiting', this.me.value.id);
    if (mine && !looking) chime();
  }

  private noteWriting(conversation: string, who: Named, kind: Writing['kind'], on: boolean): void {
    this.stopWriting(conversation, who.id, kind);
    if (!on || (kind === 'agent' && who.id === this.me.value.id)) return;
    const entry: Writing = { conversation, who, kind, until: Date.now() + SIGNAL_MS };
    this.writing.value = [...this.writing.value, entry];
    setTimeout(() => (this.writing.value = this.writing.value.filter((each) => each !== entry)), SIGNAL_MS);
  }

  private stopWriting(conversation: string, id: string, kind: string): void {
    this.writing.value = this.writing.value.filter(
      (each) => !(each.conversation === conversation && each.kind === kind && (kind === 'contact' || each.who.id === id)),
    );
  }

  private mergeThread(id: string, change: (loaded: Loaded | undefined) => Loaded | undefined): void {
    const loaded = change(this.threads.value.get(id));
    if (!loaded) return;
    const threads = new Map(this.threads.value);
    // Last touched comes last; the open one is never the first to go.
    threads.delete(id);
    threads.set(id, loaded);
    for (const old of [...threads.keys()].slice(0, Math.max(0, threads.size - THREADS_MAX))) {
      if (old !== route.value.id) threads.delete(old);
    }
    this.threads.value = threads;
  }
}

function replace<T extends { id: string }>(items: T[], item: T): T[] {
  return items.some((each) => each.id === item.id) ? items.map((each) => (each.id === item.id ? item : each)) : [...items, item];
}
