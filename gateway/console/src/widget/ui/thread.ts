// The list of messages. Rows stay the same element for life and only their small print changes, so that a screen reader
// reads each message once, and focus on a retry button is not lost when something else is drawn.
import { formatBytes, formatDay, formatTime, sameDay } from '../../shared/format';
import { splitLinks } from '../../shared/links';
import { safeUrl, type Part } from '../../shared/wire';
import type { ChatClient } from '../client';
import { fill, type Text } from '../strings';
import { h, icon } from './dom';

/** Closer to the end than this counts as reading the newest. */
const NEAR_END_PX = 80;

interface Item {
  key: string;
  from: 'visitor' | 'agent' | 'system';
  name: string;
  content: Part[];
  at: string | number;
  status: '' | 'sending' | 'waiting' | 'sent' | 'read' | 'failed';
  clientId?: string;
  code?: string | undefined;
}

interface Row {
  element: HTMLElement;
  small: HTMLElement;
  sign: string;
}

export class Thread {
  readonly #client: ChatClient;
  readonly #text: Text;
  readonly #lang: string;
  readonly #server: string;
  readonly #greeting: () => string;
  readonly element: HTMLElement;
  readonly list: HTMLElement;
  readonly #jump: HTMLElement;
  readonly #rows = new Map<string, Row>();
  #following = true;

  constructor(
    client: ChatClient,
    text: Text,
    lang: string,
    server: string,
    greeting: () => string,
  ) {
    this.#client = client;
    this.#text = text;
    this.#lang = lang;
    this.#server = server;
    this.#greeting = greeting;
    this.list = h('div', { class: 'log', role: 'log', 'aria-label': text.log, 'aria-live': 'polite', tabindex: 0 });
    this.#jump = h('button', { class: 'jump', type: 'button', hidden: true, onclick: () => this.toEnd() }, text.newest);
    this.list.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    this.element = h('div', { class: 'thread' }, this.list, this.#jump);
    // Whatever takes room below (typing, files, a growing text field) must not push the newest message out of view.
    new ResizeObserver(() => this.#following && this.toEnd()).observe(this.list);
  }

  #scrolled(): void {
    const { scrollHeight, scrollTop, clientHeight } = this.list;
    this.#following = scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
    if (this.#following) this.#jump.hidden = true;
  }

  toEnd(): void {
    this.list.scrollTop = this.list.scrollHeight;
    this.#jump.hidden = true;
  }

  draw(): void {
    const items = this.#items();
    const before = this.#rows.size;
    let own = 0;
    let place: ChildNode | null = this.list.firstChild;
    const used = new Set<string>();
    const put = (key: string, make: () => Row): Row => {
      used.add(key);
      let row = this.#rows.get(key);
      if (!row) {
        row = make();
        this.#rows.set(key, row);
      }
      if (place === row.element) place = place.nextSibling;
      else this.list.insertBefore(row.element, place);
      return row;
    };
    items.forEach((item, index) => {
      const previous = items[index - 1];
      const next = items[index + 1];
      if (!previous || !sameDay(previous.at, item.at)) put(`day:${new Date(item.at).toDateString()}`, () => this.#day(item.at));
      const isNew = !this.#rows.has(item.key);
      const row = put(item.key, () => this.#message(item));
      if (isNew && item.from === 'visitor') own += 1;
      row.element.classList.toggle('first', !previous || !together(previous, item));
      const last = !next || !together(item, next) || next.status !== item.status;
      this.#small(row, item, last);
    });
    for (const [key, row] of this.#rows) {
      if (used.has(key)) continue;
      row.element.remove();
      this.#rows.delete(key);
    }
    if (this.#following || own > 0) this.toEnd();
    else if (this.#rows.size > before) this.#jump.hidden = false;
  }

  #items(): Item[] {
    const { log, outbox, link } = this.#client;
    const items: Item[] = [];
    const greeting = this.#greeting();
    const start = log.messages[0]?.at ?? outbox.items[0]?.at ?? Date.now();
    if (greeting && log.messages[0]?.from !== 'system') {
      items.push({ key: 'greeting', from: 'agent', name: '', content: [{ type: 'text', text: greeting }], at: start, status: '' });
    }
    for (const message of log.messages) {
      const mine = message.from === 'visitor';
      items.push({
        key: mine && message.client_id ? message.client_id : `seq:${message.seq}`,
        from: message.from,
        name: message.name ?? '',
        content: message.content,
        at: message.at,
        status: !mine ? '' : message.seq <= log.agentRead ? 'read' : 'sent',
      });
    }
    for (const item of outbox.items) {
      const moving = link === 'socket' || link === 'polling';
      const status = item.state === 'sending' && !(moving && item.due <= Date.now()) ? 'waiting' : item.state;
      items.push({ key: item.client_id, from: 'visitor', name: '', content: item.content, at: item.at, status, clientId: item.client_id, code: item.code });
    }
    return items;
  }

  #day(at: string | number): Row {
    const now = Date.now();
    const word = sameDay(at, now) ? this.#text.today : sameDay(at, now - 86_400_000) ? this.#text.yesterday : formatDay(at, this.#lang);
    const element = h('div', { class: 'day' }, word);
    return { element, small: element, sign: 'day' };
  }

  #message(item: Item): Row {
    const small = h('div', { class: 'small', 'aria-live': 'off' });
    if (item.from === 'system') return { element: h('div', { class: 'system' }, ...this.#parts(item)), small, sign: '' };
    const who = item.from === 'visitor' ? this.#text.you : item.name || this.#text.team;
    const author = h('div', { class: item.from === 'agent' && item.name ? 'author' : 'author hidden' }, who);
    const element = h('div', { class: `message ${item.from}` }, author, ...this.#parts(item), small);
    return { element, small, sign: '' };
  }

  #parts(item: Item): HTMLElement[] {
    return item.content.map((part) => {
      const url = safeUrl(part.url, this.#server);
      if (part.type === 'text') return this.#bubble(part.text ?? '');
      if (part.type === 'image' && url) return this.#picture(part, url);
      if (url) return this.#file(part, url);
      return h('div', { class: 'bubble unknown' }, part.type === 'event' && part.name ? part.name : this.#text.unknown);
    });
  }

  #bubble(text: string): HTMLElement {
    const pieces = splitLinks(text).map((piece) =>
      piece.href ? h('a', { href: piece.href, target: '_blank', rel: 'noopener noreferrer nofollow' }, piece.text) : piece.text,
    );
    return h('div', { class: 'bubble' }, ...pieces);
  }

  #picture(part: Part, url: string): HTMLElement {
    const image = h('img', { src: url, alt: part.name ?? '', width: part.width, height: part.height, loading: 'lazy' });
    // Without a known size the list grows when the picture arrives; stay at the end then.
    image.addEventListener('load', () => this.#following && this.toEnd());
    return h('a', { class: 'picture', href: url, target: '_blank', rel: 'noopener noreferrer', 'aria-label': part.name }, image);
  }

  #file(part: Part, url: string): HTMLElement {
    const size = part.size === undefined ? '' : formatBytes(part.size);
    const label = h('span', {}, h('b', {}, part.name || part.mime || part.type), h('i', {}, size));
    return h('a', { class: 'bubble file', href: url, target: '_blank', rel: 'noopener noreferrer' }, icon('file'), label);
  }

  #small(row: Row, item: Item, last: boolean): void {
    const sign = `${item.status}${item.code ?? ''}${last}`;
    if (row.sign === sign || item.from === 'system') return;
    row.sign = sign;
    const time = formatTime(item.at, this.#lang);
    const t = this.#text;
    row.element.classList.toggle('failed', item.status === 'failed');
    // Ticks and times are for the eye; that a message was not sent is said aloud.
    row.small.ariaLive = item.status === 'failed' ? 'assertive' : 'off';
    if (item.status === 'failed') {
      const why = { too_large: t.whyTooLarge, forbidden: t.whyForbidden, unsupported: t.whyForbidden, stale: t.whyStale }[item.code ?? ''];
      const id = item.clientId ?? '';
      row.small.replaceChildren(
        h('span', {}, why ? `${t.failed}: ${why}` : t.failed),
        h('button', { type: 'button', onclick: () => this.#client.retry(id) }, t.retry),
        h('button', { type: 'button', onclick: () => this.#client.discard(id) }, t.discard),
      );
      return;
    }
    const word = item.status && t[item.status];
    const settled = item.status === 'sent' || item.status === 'read' || item.status === '';
    // Only the last of a group tells its time; one still on its way always says so.
    row.small.replaceChildren(...(last || !settled ? [word ? `${time} · ${word}` : item.key === 'greeting' ? '' : time] : []));
  }
}

/** Messages of one author within five minutes form a group. */
function together(one: Item, other: Item): boolean {
  const apart = new Date(other.at).getTime() - new Date(one.at).getTime();
  return one.from === other.from && one.name === other.name && apart < 300_000 && sameDay(one.at, other.at);
}

/** The line between messages and composer: trouble first, then the queue. */
export function stateLine(client: ChatClient, text: Text): string {
  if (client.link === 'offline') return text.offline;
  if (client.link === 'connecting') return text.connecting;
  const queue = client.queue;
  if (queue?.state === 'waiting') return queue.position ? fill(text.queue, { n: queue.position }) : text.queued;
  if (queue?.state === 'assigned' && queue.agent) return fill(text.assigned, { name: queue.agent });
  return queue?.state === 'closed' ? text.closed : '';
}
