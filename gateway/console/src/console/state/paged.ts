// Lists of one kind of thing, a few views of it each: pages loaded by cursor and live events end up in one map.
import { signal, type Signal } from '@preact/signals';
import type { Page } from '../api/types';

export interface Kept {
  id: string;
  version: number;
  updated_at: string;
}

export interface ListState<F> {
  filters: F;
  next: string | undefined;
  /** Activity of the oldest one loaded, while there are more pages: older ones would leave holes. */
  horizon: string | undefined;
  /** Result of a search: only the server knows what matches, so membership is fixed. */
  found: ReadonlySet<string> | undefined;
  loading: boolean;
  problem: string;
}

/** The newer of two states of a thing wins, whatever order they arrive in. */
export function upsert<T extends Kept>(known: ReadonlyMap<string, T>, things: Iterable<T>): ReadonlyMap<string, T> {
  let changed: Map<string, T> | undefined;
  for (const thing of things) {
    const before = (changed ?? known).get(thing.id);
    if (before && before.version > thing.version) continue;
    changed ??= new Map(known);
    changed.set(thing.id, thing);
  }
  return changed ?? known;
}

/** The server's own sentence. */
export function explain(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export class Lists<T extends Kept, V extends string, F extends { q?: string }> {
  readonly known = signal<ReadonlyMap<string, T>>(new Map());
  readonly views: Signal<Record<V, ListState<F>>>;

  constructor(
    private readonly names: readonly V[],
    private readonly page: (view: V, filters: F, cursor: string | undefined) => Promise<Page<T>>,
  ) {
    this.views = signal(Object.fromEntries(names.map((view) => [view, empty({} as F)])) as Record<V, ListState<F>>);
  }

  keep(things: Iterable<T>): void {
    this.known.value = upsert(this.known.value, things);
  }

  /** Loads the first page of a list, or the next one. */
  async load(view: V, more = false): Promise<void> {
    const list = this.views.value[view];
    this.change(view, { loading: true, problem: '' });
    try {
      const page = await this.page(view, list.filters, more ? list.next : undefined);
      if (this.views.value[view].filters !== list.filters) return;
      this.keep(page.items);
      const ids = page.items.map((item) => item.id);
      this.change(view, {
        next: page.next ?? undefined,
        horizon: page.next ? page.items[page.items.length - 1]?.updated_at : undefined,
        found: list.filters.q ? new Set(more ? [...(list.found ?? []), ...ids] : ids) : undefined,
        loading: false,
      });
    } catch (error) {
      if (this.views.value[view].filters === list.filters) this.change(view, { loading: false, problem: explain(error) });
    }
  }

  filter(view: V, filters: F): void {
    this.views.value = { ...this.views.value, [view]: empty(filters) };
    void this.load(view);
  }

  reload(): void {
    for (const view of this.names) void this.load(view);
  }

  private change(view: V, fields: Partial<ListState<F>>): void {
    this.views.value = { ...this.views.value, [view]: { ...this.views.value[view], ...fields } };
  }
}

function empty<F>(filters: F): ListState<F> {
  return { filters, next: undefined, horizon: undefined, found: undefined, loading: true, problem: '' };
}
