// Files on their way into a message: checked, uploaded at once, shown with progress until they are sent or removed.
import { formatBytes } from '../../shared/format';
import { uploadPart, type Part } from '../../shared/wire';
import type { ChatClient } from '../client';
import { HttpError } from '../http';
import { fill, type Text } from '../strings';
import { h, icon } from './dom';

/** Files in one message at most: with the text it may have ten parts. */
const FILES_MAX = 9;

interface Entry {
  element: HTMLElement;
  abort: AbortController;
  part?: Part;
  preview?: string;
}

export class Tray {
  readonly #client: ChatClient;
  readonly #text: Text;
  readonly #changed: () => void;
  readonly #say: (problem: string) => void;
  readonly element: HTMLElement;
  #entries: Entry[] = [];

  constructor(
    client: ChatClient,
    text: Text,
    changed: () => void,
    say: (problem: string) => void,
  ) {
    this.#client = client;
    this.#text = text;
    this.#changed = changed;
    this.#say = say;
    this.element = h('ul', { class: 'tray', hidden: true });
  }

  get busy(): boolean {
    return this.#entries.some((entry) => !entry.part);
  }

  /** The parts of all finished uploads; the tray is empty afterwards. */
  take(): Part[] {
    const parts = this.#entries.flatMap((entry) => entry.part ?? []);
    for (const entry of [...this.#entries]) this.#remove(entry);
    return parts;
  }

  add(files: Iterable<File>): void {
    for (const file of files) {
      if (this.#entries.length >= FILES_MAX) return;
      const problem = this.#refuse(file);
      if (problem) this.#say(problem);
      else this.#upload(file);
    }
  }

  #refuse(file: File): string | undefined {
    const limits = this.#client.visitor.answer?.uploads;
    if (!limits) return undefined;
    if (file.size > limits.bytes_max) return fill(this.#text.tooLarge, { name: file.name, n: formatBytes(limits.bytes_max) });
    const family = `${file.type.split('/')[0]}/*`;
    // Without a type the browser does not know the file; the server looks at its bytes and decides.
    const taken = !file.type || limits.types.some((type) => type === file.type || type === family || type === '*/*');
    return taken ? undefined : fill(this.#text.wrongType, { name: file.name });
  }

  #upload(file: File): void {
    const name = file.name || 'file';
    const bar = h('progress', { max: 100, value: 0, 'aria-label': fill(this.#text.uploading, { name, n: 0 }) });
    const entry: Entry = { element: h('li'), abort: new AbortController() };
    const remove = h(
      'button',
      { type: 'button', class: 'plain', 'aria-label': fill(this.#text.remove, { name }), onclick: () => this.#remove(entry) },
      icon('close'),
    );
    let face: Element = icon('file');
    if (file.type.startsWith('image/')) {
      entry.preview = URL.createObjectURL(file);
      face = h('img', { src: entry.preview, alt: '' });
    }
    entry.element.append(face, h('span', {}, name), bar, remove);
    this.#entries.push(entry);
    this.element.append(entry.element);
    this.#settle();
    const progress = (share: number): void => {
      bar.value = Math.round(share * 100);
      bar.setAttribute('aria-label', fill(this.#text.uploading, { name, n: bar.value }));
    };
    this.#client
      .upload(file, name, progress, entry.abort.signal)
      .then((upload) => {
        entry.part = uploadPart(upload);
        bar.remove();
        this.#changed();
      })
      .catch((error: unknown) => {
        if (entry.abort.signal.aborted) return;
        this.#remove(entry);
        this.#say(this.#explain(error, name));
      });
  }

  #explain(error: unknown, name: string): string {
    const status = error instanceof HttpError ? error.status : 0;
    const limit = this.#client.visitor.answer?.uploads?.bytes_max;
    if (status === 413) return fill(this.#text.tooLarge, { name, n: limit ? formatBytes(limit) : '' });
    return fill(status === 415 ? this.#text.wrongType : this.#text.uploadFailed, { name });
  }

  #remove(entry: Entry): void {
    if (!entry.part) entry.abort.abort();
    if (entry.preview) URL.revokeObjectURL(entry.preview);
    entry.element.remove();
    this.#entries = this.#entries.filter((other) => other !== entry);
    this.#settle();
  }

  #settle(): void {
    this.element.hidden = this.#entries.length === 0;
    this.#changed();
  }
}
