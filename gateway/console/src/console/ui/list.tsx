// A list with search, filters and paging by cursor, of whatever there are lists of.
import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { Kept, Lists } from '../state/paged';
import { t, type Key } from '../strings';
import { Icon } from './icon';

const SEARCH_PAUSE_MS = 250;

/** One filter: its field, what it is called, and what can be chosen. */
export interface Pick<F> {
  field: keyof F & Key;
  none: Key;
  options: [string, string][];
}

interface Asked<T extends Kept, V extends string, F extends { q?: string }> {
  lists: Lists<T, V, F>;
  view: V;
  picks: Pick<F>[];
}

interface Shown<T> {
  /** What is listed, for who cannot see it. */
  label: string;
  title: string;
  empty: string;
  items: T[];
  row: (item: T) => ComponentChildren;
  /** Below the title. */
  children?: ComponentChildren;
}

export function List<T extends Kept, V extends string, F extends { q?: string }>({ lists, view, picks, label, title, empty, items, row, children }: Asked<T, V, F> & Shown<T>) {
  const list = lists.views.value[view];
  return (
    <section class="list" aria-label={label}>
      <header>
        <h1>{title}</h1>
        {children}
        <Search key={view} lists={lists} view={view} picks={picks} />
      </header>
      <ul class="rows">{items.map(row)}</ul>
      {list.problem && (
        <p class="empty">{list.problem}<br /><button type="button" class="button" onClick={() => void lists.load(view)}>{t('tryAgain')}</button></p>
      )}
      {items.length === 0 && !list.loading && !list.problem && <p class="empty">{empty}</p>}
      {list.loading && items.length === 0 && <p class="empty">{t('loading')}</p>}
      {list.next && <button type="button" class="button more" onClick={() => void lists.load(view, true)}>{t('more')}</button>}
    </section>
  );
}

function Search<T extends Kept, V extends string, F extends { q?: string }>({ lists, view, picks }: Asked<T, V, F>) {
  const { filters } = lists.views.value[view];
  const [text, setText] = useState(filters.q ?? '');
  const [open, setOpen] = useState(false);
  const active = Object.entries(filters).filter(([key, value]) => key !== 'q' && value).length;
  // From the newest filters, not from those of this drawing: the pause of the search may end after a filter was chosen.
  const set = (change: object): void => lists.filter(view, { ...lists.views.value[view].filters, ...change });
  useEffect(() => {
    if (text.trim() === (filters.q ?? '')) return undefined;
    const timer = setTimeout(() => set({ q: text.trim() }), SEARCH_PAUSE_MS);
    return () => clearTimeout(timer);
  }, [text, filters]);
  return (
    <>
      <div class="search">
        <label><Icon name="search" size={16} /><input id="search" type="search" placeholder={t('search')} aria-label={t('search')} value={text} onInput={(event) => setText(event.currentTarget.value)} /></label>
        <button type="button" class="icon-button" aria-expanded={open} aria-label={active ? `${t('filters')} (${active})` : t('filters')} data-active={active > 0} onClick={() => setOpen(!open)}><Icon name="filter" /></button>
      </div>
      {open && (
        <div class="filters">
          {picks.map(({ field, none, options }) => (
            <select aria-label={t(field)} value={String(filters[field] ?? '')} onChange={(event) => set({ [field]: event.currentTarget.value })}>
              <option value="">{t(none)}</option>
              {options.map(([id, name]) => <option value={id}>{name}</option>)}
            </select>
          ))}
          {active > 0 && <button type="button" class="button plain" onClick={() => lists.filter(view, { q: filters.q ?? '' } as F)}>{t('clearFilters')}</button>}
        </div>
      )}
    </>
  );
}
