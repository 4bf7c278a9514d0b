// The address behind `#`: the server serves one page, and links, history and reloads still work.
import { computed, signal } from '@preact/signals';
import type { View } from '../api/types';

export type Page = 'inbox' | 'dead' | 'channels' | 'team';

export interface Route {
  page: Page;
  view: View;
  /** The open conversation, dead letter or agent. */
  id?: string;
}

const VIEWS: View[] = ['mine', 'waiting', 'all'];
const PAGES: Page[] = ['dead', 'channels', 'team'];

export function parseRoute(hash: string): Route {
  const [name = '', id] = hash.replace(/^#\/?/, '').split('/').map(safeDecode);
  const more = id ? { id } : {};
  const page = PAGES.find((each) => each === name);
  if (page) return { page, view: 'mine', ...more };
  return { page: 'inbox', view: VIEWS.find((each) => each === name) ?? 'mine', ...more };
}

export function hrefFor(route: { page?: Page; view?: View; id?: string }): string {
  const first = route.page && route.page !== 'inbox' ? route.page : (route.view ?? 'mine');
  return `#/${first}${route.id ? `/${encodeURIComponent(route.id)}` : ''}`;
}

const hash = signal(location.hash);
addEventListener('hashchange', () => (hash.value = location.hash));

export const route = computed(() => parseRoute(hash.value));

export function go(to: Parameters<typeof hrefFor>[0]): void {
  location.hash = hrefFor(to);
}

function safeDecode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
