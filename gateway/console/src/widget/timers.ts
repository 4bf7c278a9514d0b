/** Timers by name: setting one replaces the last of that name, and all end together. */
export class Timers<Name extends string> {
  #running: Partial<Record<Name, ReturnType<typeof setTimeout>>> = {};

  set(name: Name, ms: number, run: () => void): void {
    this.clear(name);
    this.#running[name] = setTimeout(run, ms);
  }

  clear(...names: Name[]): void {
    for (const name of names) clearTimeout(this.#running[name]);
  }

  clearAll(): void {
    this.clear(...(Object.keys(this.#running) as Name[]));
  }
}
