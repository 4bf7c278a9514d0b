// Which tickets a list shows, and in which order: pure, as for conversations.
import type { TicketFilters } from '../api/calls';
import type { Severity, Ticket, TicketView } from '../api/types';
import type { ListState } from './paged';

export const TICKET_VIEWS: TicketView[] = ['mine', 'waiting', 'open', 'closed'];
export const SEVERITIES: Severity[] = ['critical', 'major', 'minor', 'warning'];

export function isClosed({ state }: Ticket): boolean {
  return state === 'done' || state === 'cancelled';
}

export function isQueued({ state }: Ticket): boolean {
  return state === 'new' || state === 'reopened';
}

export function deviceName({ device_name: name, device }: Ticket): string {
  return name || device;
}

export function inTicketView(ticket: Ticket, view: TicketView, me: string): boolean {
  if (view === 'closed') return isClosed(ticket);
  if (view === 'waiting') return isQueued(ticket);
  return !isClosed(ticket) && (view === 'open' || (me !== '' && ticket.agent?.id === me));
}

function passes(ticket: Ticket, filters: TicketFilters): boolean {
  if (filters.state && ticket.state !== filters.state) return false;
  if (filters.severity && ticket.severity !== filters.severity) return false;
  if (filters.channel && ticket.channel.id !== filters.channel) return false;
  if (filters.group && ticket.group?.id !== filters.group) return false;
  return !filters.agent || ticket.agent?.id === filters.agent;
}

export function visibleTickets(known: ReadonlyMap<string, Ticket>, view: TicketView, list: Pick<ListState<TicketFilters>, 'filters' | 'found' | 'horizon'>, me: string): Ticket[] {
  const { filters, found, horizon } = list;
  const items = [...known.values()].filter((each) => {
    if (found) return found.has(each.id);
    return inTicketView(each, view, me) && passes(each, filters) && (!horizon || each.updated_at >= horizon);
  });
  const waiting = view === 'waiting' && !found;
  return items.sort((a, b) => (waiting ? byUrgency(a, b) : 0) || b.updated_at.localeCompare(a.updated_at) || a.id.localeCompare(b.id));
}

/** As they are given out: worst first, then who waits longest. */
function byUrgency(a: Ticket, b: Ticket): number {
  return SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity) || since(a).localeCompare(since(b));
}

function since(ticket: Ticket): string {
  return ticket.waiting_since ?? ticket.created_at;
}
