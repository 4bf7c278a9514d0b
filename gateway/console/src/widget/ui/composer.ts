// Where the visitor writes: text, files by button, paste or drop, a draft that survives a reload, and typing signals.
import type { Part } from '../../shared/wire';
import type { ChatClient } from '../client';
import type { Store } from '../store';
import type { Text } from '../strings';
import { h, icon } from './dom';
import { Tray } from './tray';

const TYPING_REPEAT_MS = 3_000;
const TYPING_IDLE_MS = 5_000;
const TEXT_MAX = 8_000;

export class Composer {
  readonly #client: ChatClient;
  readonly #store: Store;
  readonly #text: Text;
  readonly #say: (problem: string) => void;
  readonly element: HTMLFormElement;
  readonly input: HTMLTextAreaElement;
  readonly #tray: Tray;
  readonly #sendButton: HTMLButtonElement;
  #typingSince = 0;
  #typingEnd: ReturnType<typeof setTimeout> | undefined;

  constructor(
    client: ChatClient,
    store: Store,
    text: Text,
    say: (problem: string) => void,
  ) {
    this.#client = client;
    this.#store = store;
    this.#text = text;
    this.#say = say;
    this.#tray = new Tray(client, text, () => this.#settle(), say);
    this.input = h('textarea', {
      rows: 1, maxlength: TEXT_MAX, placeholder: text.write, 'aria-label': text.message,
      oninput: () => this.#typed(),
      onkeydown: (event: KeyboardEvent) => this.#key(event),
      onpaste: (event: ClipboardEvent) => this.#paste(event),
    });
    const picker = h('input', { type: 'file', multiple: true, hidden: true, tabindex: -1, 'aria-hidden': 'true' });
    picker.addEventListener('change', () => {
      this.#tray.add(picker.files ?? []);
      picker.value = '';
      this.input.focus();
    });
    this.#sendButton = h('button', { type: 'submit', class: 'send', 'aria-label': text.send }, icon('send'));
    const attach = h('button', { type: 'button', class: 'plain', 'aria-label': text.attach, onclick: () => picker.click() }, icon('clip'));
    this.element = h(
      'form',
      { class: 'composer', onsubmit: (event: Event) => (event.preventDefault(), this.#send()) },
      this.#tray.element,
      h('div', { class: 'line' }, attach, picker, this.input, this.#sendButton),
    );
    this.input.value = store.get<string>('draft') ?? '';
    this.#settle();
  }

  addFiles(files: Iterable<File>): void {
    this.#tray.add(files);
  }

  /** Grows with its text up to the height the style sheet allows. */
  fit(): void {
    this.input.style.height = 'auto';
    this.input.style.height = `${this.input.scrollHeight}px`;
  }

  #send(): void {
    const text = this.input.value.trim();
    if (this.#tray.busy || (!text && this.#tray.element.hidden)) return;
    if (this.#client.outbox.full) return this.#say(this.#text.full);
    const content: Part[] = this.#tray.take();
    if (text) content.unshift({ type: 'text', text });
    this.input.value = '';
    this.#store.remove('draft');
    this.#say('');
    this.#stopTyping();
    this.#client.send(content);
    this.#settle();
    this.input.focus();
  }

  #typed(): void {
    this.#store.set('draft', this.input.value);
    this.#settle();
    if (!this.input.value.trim()) return this.#stopTyping();
    const now = Date.now();
    if (now - this.#typingSince > TYPING_REPEAT_MS) {
      this.#typingSince = now;
      this.#client.setTyping(true);
    }
    clearTimeout(this.#typingEnd);
    this.#typingEnd = setTimeout(() => this.#stopTyping(), TYPING_IDLE_MS);
  }

  #stopTyping(): void {
    clearTimeout(this.#typingEnd);
    if (this.#typingSince) this.#client.setTyping(false);
    this.#typingSince = 0;
  }

  #key(event: KeyboardEvent): void {
    // While an input method composes (Chinese, Japanese), Enter picks a word.
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    this.#send();
  }

  #paste(event: ClipboardEvent): void {
    const files = event.clipboardData?.files;
    if (!files?.length) return;
    event.preventDefault();
    this.#tray.add(files);
  }

  #settle(): void {
    this.fit();
    const empty = !this.input.value.trim() && this.#tray.element.hidden;
    // Not `disabled`: a disabled button drops keyboard focus the moment a message is sent.
    this.#sendButton.setAttribute('aria-disabled', String(empty || this.#tray.busy));
  }
}
