// The chat window and the round button that opens it, in a shadow root that the page's styles cannot reach.
import type { ChatClient } from '../client';
import type { Options } from '../options';
import type { Store } from '../store';
import { fill, type Text } from '../strings';
import css from '../widget.css?inline';
import { Composer } from './composer';
import { h, icon } from './dom';
import { applyColour } from './theme';
import { stateLine, Thread } from './thread';

export class Panel {
  readonly #client: ChatClient;
  readonly #options: Options;
  readonly #text: Text;
  readonly #toggled: (open: boolean) => void;
  readonly host: HTMLElement;
  open = false;
  readonly #dialog: HTMLElement;
  readonly #launcher: HTMLButtonElement;
  readonly #badge: HTMLElement;
  readonly #heading: HTMLElement;
  readonly #status: HTMLElement;
  readonly #problem: HTMLElement;
  readonly #typing: HTMLElement;
  readonly #thread: Thread;
  readonly #composer: Composer;

  constructor(
    client: ChatClient,
    options: Options,
    store: Store,
    text: Text,
    lang: string,
    toggled: (open: boolean) => void,
  ) {
    this.#client = client;
    this.#options = options;
    this.#text = text;
    this.#toggled = toggled;
    this.host = h('div', { id: `patchbay-widget-${options.channel}`, lang, 'data-position': options.position, 'data-theme': options.theme });
    applyColour(this.host, options.colour);
    this.#thread = new Thread(client, text, lang, options.server, () => options.greeting ?? client.visitor.answer?.greeting ?? text.welcome);
    this.#status = h('div', { class: 'status', role: 'status' });
    this.#problem = h('div', { class: 'problem', role: 'alert' });
    this.#typing = h('div', { class: 'typing', 'aria-live': 'polite' });
    this.#composer = new Composer(client, store, text, (problem) => (this.#problem.textContent = problem));
    this.#heading = h('h2', { id: 'title' });
    const close = h('button', { type: 'button', class: 'close plain', 'aria-label': text.close, onclick: () => this.hide() }, icon('down'));
    const header = h('div', { class: 'head' }, h('div', {}, this.#heading, h('p', {}, text.reply)), close);
    this.#dialog = h(
      'section',
      { class: 'panel', role: 'dialog', 'aria-labelledby': 'title', hidden: true, onkeydown: (event: KeyboardEvent) => this.#key(event) },
      header, this.#thread.element, this.#typing, this.#status, this.#problem, this.#composer.element, h('div', { class: 'drop' }, text.drop),
    );
    this.#badge = h('span', { class: 'badge', hidden: true, 'aria-hidden': 'true' });
    this.#launcher = h(
      'button',
      { type: 'button', class: 'launcher', 'aria-haspopup': 'dialog', onclick: () => (this.open ? this.hide() : this.show()) },
      icon('chat'), icon('down'), this.#badge,
    );
    this.#attach();
    this.#acceptDrops();
    this.draw();
  }

  /** `quiet` = opened by a trigger or a reload: the visitor is doing something else, so focus stays there. */
  show(quiet = false): void {
    if (this.open) return;
    this.open = true;
    this.#dialog.hidden = false;
    this.host.toggleAttribute('data-open', true);
    this.#toggled(true);
    this.draw();
    this.#thread.toEnd();
    this.#composer.fit();
    if (!quiet) this.#composer.input.focus();
  }

  hide(): void {
    if (!this.open) return;
    const inside = this.host.shadowRoot?.activeElement;
    this.open = false;
    this.#dialog.hidden = true;
    this.host.toggleAttribute('data-open', false);
    this.#toggled(false);
    this.draw();
    if (inside) this.#launcher.focus();
  }

  destroy(): void {
    this.host.remove();
  }

  draw(): void {
    const client = this.#client;
    const text = this.#text;
    const unread = client.log.unread;
    this.#badge.hidden = unread === 0;
    this.#badge.textContent = unread > 99 ? '99+' : String(unread);
    const label = this.open ? text.close : unread ? fill(text.openUnread, { n: unread }) : text.open;
    this.#launcher.setAttribute('aria-label', label);
    this.#launcher.setAttribute('aria-expanded', String(this.open));
    if (!this.open) return;
    setText(this.#heading, this.#options.title ?? client.visitor.answer?.name ?? text.chat);
    this.#thread.draw();
    setText(this.#status, stateLine(client, text));
    this.#status.classList.toggle('offline', client.link === 'offline');
    setText(this.#typing, client.typing ? fill(text.typing, { name: client.typing.name ?? text.team }) : '');
  }

  #attach(): void {
    const root = this.host.attachShadow({ mode: 'open' });
    try {
      // Pages with a strict content security policy forbid style elements, but not sheets made by script.
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(css);
      root.adoptedStyleSheets = [sheet];
    } catch {
      root.append(h('style', {}, css));
    }
    root.append(this.#dialog, this.#launcher);
    document.body.append(this.host);
  }

  #acceptDrops(): void {
    let depth = 0;
    const mark = (change: number): void => {
      depth = change ? depth + change : 0;
      this.#dialog.classList.toggle('dropping', depth > 0);
    };
    this.#dialog.addEventListener('dragenter', () => mark(1));
    this.#dialog.addEventListener('dragleave', () => mark(-1));
    this.#dialog.addEventListener('dragover', (event) => event.preventDefault());
    this.#dialog.addEventListener('drop', (event) => {
      event.preventDefault();
      mark(0);
      this.#composer.addFiles(event.dataTransfer?.files ?? []);
    });
  }

  /** Escape closes; Tab goes round inside the window instead of leaving it for the page behind. */
  #key(event: KeyboardEvent): void {
    if (event.key === 'Escape' && !event.isComposing) {
      event.stopPropagation();
      this.hide();
    }
    if (event.key !== 'Tab') return;
    const stops = [...this.#dialog.querySelectorAll<HTMLElement>('button, a[href], textarea, [tabindex="0"]')].filter(
      (element) => element.offsetParent !== null && element.tabIndex >= 0,
    );
    const edge = event.shiftKey ? stops[0] : stops[stops.length - 1];
    if (this.host.shadowRoot?.activeElement !== edge) return;
    event.preventDefault();
    (event.shiftKey ? stops[stops.length - 1] : stops[0])?.focus();
  }
}

/** Writing the same words again would make a live region speak again. */
function setText(element: HTMLElement, words: string): void {
  if (element.textContent !== words) element.textContent = words;
}
