// Shortcuts. They are silent while somebody types or a dialog is open, and with any modifier held: those belong to the browser.
import { dialog, theDesk, write } from './face';
import { isDone } from './lists';
import { go, route, type Route } from './router';
import { desk } from './session';
import { choose, settings } from './settings';
import { isClosed, TICKET_VIEWS } from './work';

/** `g` waits this long for its second letter. */
const SEQUENCE_MS = 2_000;

const PLACES: Record<string, Partial<Route>> = {
  m: { view: 'mine' }, w: { view: 'waiting' }, a: { view: 'all' }, d: { page: 'dead' }, c: { page: 'channels' }, t: { page: 'team' }, f: { page: 'tickets' },
};

function typing(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.matches('input:not([type=checkbox]), textarea, select, [contenteditable]');
}

/** Moves the choice in the list by one and brings the row into view. */
function move(step: 1 | -1): void {
  const { page, view, work, id } = route.value;
  const items = page === 'tickets' ? theDesk().tickets.visible(work) : theDesk().visible(view);
  const at = items.findIndex((item) => item.id === id);
  const next = items[at < 0 ? (step > 0 ? 0 : items.length - 1) : at + step];
  if (!next) return;
  go({ page: page === 'tickets' ? page : 'inbox', view, work, id: next.id });
  document.querySelector<HTMLElement>(`.row[data-id="${CSS.escape(next.id)}"]`)?.focus();
}

function onConversation(key: string): boolean {
  const mine = theDesk();
  const conversation = mine.lists.known.value.get(route.value.id ?? '');
  if (!conversation || route.value.page !== 'inbox' || !mine.may('agent')) return false;
  const { id } = conversation;
  const done = isDone(conversation);
  switch (key) {
    case 'r': write('reply'); return true;
    case 'c': if (conversation.channel.kind === 'mqtt') write('command'); return true;
    case 'n': write('note'); return true;
    case 'a': dialog.value = 'assign'; return true;
    case 'i': if (mine.me.value.id) void mine.order(id, 'assign', { agent_id: mine.me.value.id }); return true;
    case 's': if (!done) dialog.value = 'snooze'; return true;
    case 'e': if (!done) void mine.order(id, 'close', { resolved: true }); return true;
    case 'E': if (!done) void mine.order(id, 'close', { resolved: false }); return true;
    case 'o': if (done || conversation.state === 'snoozed') void mine.order(id, 'reopen'); return true;
  }
  return false;
}

function onTicket(key: string): boolean {
  if (route.value.page !== 'tickets') return false;
  const view = TICKET_VIEWS[Number(key) - 1];
  if (view) {
    go({ page: 'tickets', work: view });
    return true;
  }
  const mine = theDesk();
  const { tickets, me } = mine;
  const ticket = tickets.lists.known.value.get(route.value.id ?? '');
  if (!ticket || !mine.may('agent')) return false;
  const { id } = ticket;
  const closed = isClosed(ticket);
  switch (key) {
    case 'r': write('reply'); return true;
    case 'c': write('command'); return true;
    case 'n': write('note'); return true;
    case 'v': dialog.value = 'edit'; return true;
    case 'a': if (!closed) dialog.value = 'assign'; return true;
    case 'i': if (me.value.id && !closed) void tickets.order(id, 'assign', { agent_id: me.value.id }); return true;
    case 'e': if (!closed) void tickets.order(id, 'confirm'); return true;
    case 'x': if (!closed) dialog.value = 'cancel'; return true;
    case 'o': if (closed) void tickets.order(id, 'reopen'); return true;
  }
  return false;
}

function anywhere(key: string): boolean {
  switch (key) {
    case 'j': move(1); return true;
    case 'k': move(-1); return true;
    case '/': document.getElementById('search')?.focus(); return true;
    case '?': dialog.value = 'help'; return true;
    case 'd': choose({ details: !settings.value.details }); return true;
  }
  return false;
}

/** Installs the shortcuts; returns how to remove them. */
export function useKeys(): () => void {
  // By the events' own time: a busy page handles keys late.
  let sequence = -Infinity;
  const listen = (event: KeyboardEvent): void => {
    if (!desk.value || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.key === 'Escape' && typing(event.target)) return (event.target as HTMLElement).blur();
    if (typing(event.target) || document.querySelector('dialog[open]')) return;
    const second = event.timeStamp - sequence < SEQUENCE_MS;
    sequence = -Infinity;
    const place = second ? PLACES[event.key] : undefined;
    if (event.key === 'g' && !second) sequence = event.timeStamp;
    else if (place) go(place);
    else if (!onConversation(event.key) && !onTicket(event.key) && !anywhere(event.key)) return;
    event.preventDefault();
  };
  addEventListener('keydown', listen);
  return () => removeEventListener('keydown', listen);
}
