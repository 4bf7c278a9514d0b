// What must survive a reload. Some browsers block localStorage (or fill it up); then everything stays in memory,
// and the chat works until the page is left.

/** Key-value strings under one prefix. */
export class Store {
  readonly #prefix: string;
  readonly #memory = new Map<string, string>();
  readonly #disk: Storage | undefined;

  constructor(
    prefix: string,
    open: () => Storage = () => localStorage,
  ) {
    this.#prefix = prefix;
    try {
      const disk = open();
      const probe = `${prefix}probe`;
      disk.setItem(probe, '1');
      disk.removeItem(probe);
      this.#disk = disk;
    } catch {
      this.#disk = undefined;
    }
  }

  get<T>(key: string): T | undefined {
    try {
      const text = this.#memory.get(key) ?? this.#disk?.getItem(this.#prefix + key);
      return text ? (JSON.parse(text) as T) : undefined;
    } catch {
      return undefined;
    }
  }

  set(key: string, value: unknown): void {
    const text = JSON.stringify(value);
    try {
      if (this.#disk) {
        this.#disk.setItem(this.#prefix + key, text);
        this.#memory.delete(key);
        return;
      }
    } catch {
      // The disk is full: this value lives in memory, the others stay where they are.
    }
    this.#memory.set(key, text);
  }

  remove(key: string): void {
    this.#memory.delete(key);
    try {
      this.#disk?.removeItem(this.#prefix + key);
    } catch {
      // Nothing was kept then.
    }
  }

  /** Keys that start with `start`, without the store's own prefix. */
  keys(start: string): string[] {
    const found = new Set([...this.#memory.keys()].filter((key) => key.startsWith(start)));
    try {
      for (let i = 0; i < (this.#disk?.length ?? 0); i++) {
        const key = this.#disk?.key(i) ?? '';
        if (key.startsWith(this.#prefix + start)) found.add(key.slice(this.#prefix.length));
      }
    } catch {
      // Only memory then.
    }
    return [...found];
  }

  /** Calls `changed` with the key when another tab of this site writes or removes it. Returns the undo. */
  watch(changed: (key: string) => void): () => void {
    const listener = (event: StorageEvent): void => {
      if (event.storageArea === this.#disk && event.key?.startsWith(this.#prefix)) changed(event.key.slice(this.#prefix.length));
    };
    addEventListener('storage', listener);
    return () => removeEventListener('storage', listener);
  }
}
