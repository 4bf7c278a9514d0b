// The chat widget's start: reads the script tag, builds the chat, and offers `window.PatchbayWidget` to the page.
import { ChatClient } from './client';
import type { Identity, MessageFrame } from './frames';
import { readOptions, type Options } from './options';
import { Store } from './store';
import { chooseLang, textFor } from './strings';
import { watchTriggers } from './triggers';
import { Panel } from './ui/panel';

interface Events {
  open: undefined;
  close: undefined;
  /** A message from either side has got its number. */
  message: MessageFrame;
  unread: number;
  /** connecting, socket, polling, offline, idle */
  state: string;
}

type Handlers = { [K in keyof Events]?: Set<(value: Events[K]) => void> };

class Widget {
  readonly #client: ChatClient;
  readonly #panel: Panel;
  readonly #handlers: Handlers = {};
  readonly #session: Store;
  readonly #stops: (() => void)[] = [];
  #unread = 0;
  #state = '';

  constructor(options: Options) {
    const prefix = `patchbay:${options.server}:${options.channel}:`;
    const store = new Store(prefix);
    this.#session = new Store(prefix, () => sessionStorage);
    const lang = chooseLang(options.lang);
    this.#client = new ChatClient({
      base: `${options.server}/channels/${encodeURIComponent(options.channel)}`,
      store,
      locale: options.lang ?? navigator.language,
      listener: { message: (message) => this.#message(message), changed: () => this.#changed() },
    });
    this.#panel = new Panel(this.#client, options, store, textFor(lang), lang, (open) => this.#toggled(open));
    // Visitors who never wrote cost the server nothing; those who did see answers arrive on every page.
    if (this.#client.visitor.known) this.#client.start();
    if (this.#session.get('open')) this.#panel.show(true);
    this.#stops.push(watchTriggers(options, () => this.#triggered()));
    const wake = (): void => {
      if (document.visibilityState === 'visible') this.#client.wake();
      this.#changed();
    };
    for (const [target, name] of [[window, 'online'], [window, 'focus'], [document, 'visibilitychange']] as const) {
      target.addEventListener(name, wake);
      this.#stops.push(() => target.removeEventListener(name, wake));
    }
  }

  readonly api = {
    open: (): void => this.#panel.show(),
    close: (): void => this.#panel.hide(),
    toggle: (): void => (this.#panel.open ? this.#panel.hide() : this.#panel.show()),
    /** Signs the visitor in with an identity computed by the page's server; null forgets it. */
    identify: (identity: Identity | null): void => this.#client.identify(identity ?? undefined),
    /** Listens to an event; returns how to stop. */
    on: <K extends keyof Events>(name: K, handler: (value: Events[K]) => void): (() => void) => {
      const set = (this.#handlers[name] ??= new Set<never>() as never) as Set<(value: Events[K]) => void>;
      set.add(handler);
      return () => set.delete(handler);
    },
    destroy: (): void => {
      this.#stops.forEach((stop) => stop());
      this.#client.destroy();
      this.#panel.destroy();
      delete (window as { PatchbayWidget?: unknown }).PatchbayWidget;
    },
  };

  #message(message: MessageFrame): void {
    this.#emit('message', message);
  }

  #changed(): void {
    // The client may report while the panel is still being built.
    if (!this.#panel) return;
    const looking = this.#panel.open && document.visibilityState === 'visible';
    if (looking && this.#client.log.unread > 0) return this.#client.markRead();
    this.#panel.draw();
    if (this.#unread !== this.#client.log.unread) this.#emit('unread', (this.#unread = this.#client.log.unread));
    if (this.#state !== this.#client.link) this.#emit('state', (this.#state = this.#client.link));
  }

  #toggled(open: boolean): void {
    this.#session.set('open', open);
    if (open) this.#client.start();
    else this.#session.set('quiet', true);
    if (open && this.#panel) this.#client.markRead();
    this.#emit(open ? 'open' : 'close', undefined);
  }

  /** A trigger opens once per visit, and never again after the visitor has closed the chat. */
  #triggered(): void {
    if (this.#session.get('quiet')) return;
    this.#session.set('quiet', true);
    this.#panel.show(true);
  }

  #emit<K extends keyof Events>(name: K, value: Events[K]): void {
    for (const handler of this.#handlers[name] ?? []) {
      try {
        handler(value);
      } catch (error) {
        // A mistake in the page's handler must not stop the chat.
        console.error(error);
      }
    }
  }
}

function start(script: HTMLScriptElement): void {
  const holder = window as { PatchbayWidget?: unknown };
  if (holder.PatchbayWidget) return;
  holder.PatchbayWidget = new Widget(readOptions(script)).api;
  dispatchEvent(new Event('patchbay:ready'));
}

const script = document.currentScript;
if (script instanceof HTMLScriptElement) {
  if (document.body) start(script);
  else addEventListener('DOMContentLoaded', () => start(script));
}
