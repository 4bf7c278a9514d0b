// The address behind `#`: the server serves one page, and links, history and reloads still work.
import { computed, signal } from '@preact/signals';
import type { TicketView, View } from '../api/types';
import { TICKET_VIEWS } from './work';

export type Page = 'inbox' | 'tickets' | 'dead' | 'channels' | 'team';

export interface Route {
  page: Page;
  /** Which conversations. */
  view: View;
  /** Which tickets. */
  work: TicketView;
  /** The open conversation, ticket, dead letter or agent. */
  id?: string;
}

const VIEWS: View[] = ['mine', 'waiting', 'all'];
const PAGES: Page[] = ['dead', 'channels', 'team'];

export function parseRoute(hash: string): Route {
  const [name = '', ...rest] = hash.replace(/^#\/?/, '').split('/').map(safeDecode);
  const found = <T extends string>(names: T[], text: string | undefined): T | undefined => names.find((each) => each === text);
  const page = name === 'tickets' ? 'tickets' : (found(PAGES, name) ?? 'inbox');
  const id = page === 'tickets' ? rest[1] : rest[0];
  const view = found(VIEWS, page === 'inbox' ? name : undefined) ?? 'mine';
  const work = found(TICKET_VIEWS, page === 'tickets' ? rest[0] : undefined) ?? 'mine';
  return { page, view, work, ...(id ? { id } : {}) };
}

export function hrefFor(route: Partial<Route>): string {
  const { page = 'inbox', view = 'mine', work = 'mine', id } = route;
  const first = page === 'inbox' ? view : page === 'tickets' ? `tickets/${work}` : page;
  return `#/${first}${id ? `/${encodeURIComponent(id)}` : ''}`;
}

const hash = signal(location.hash);
addEventListener('hashchange', () => (hash.value = location.hash));

export const route = computed(() => parseRoute(hash.value));

export function go(to: Partial<Route>): void {
  location.hash = hrefFor(to);
  // The browser tells of it later; the next key may be there before.
  hash.value = location.hash;
}

function safeDecode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
