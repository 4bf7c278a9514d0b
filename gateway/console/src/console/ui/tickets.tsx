// The list of tickets, the open one and its device side by side.
import { useEffect, useLayoutEffect } from 'preact/hooks';
import type { TicketFilters } from '../api/calls';
import type { Ticket as Row, TicketState, TicketView } from '../api/types';
import { clock, composer, theDesk } from '../state/face';
import { go, hrefFor, route } from '../state/router';
import { settings } from '../state/settings';
import { deviceName, isQueued, SEVERITIES, TICKET_VIEWS } from '../state/work';
import { ago, t, word, type Key } from '../strings';
import { Chip, Severity, StateChip } from './common';
import { commonPicks } from './conversations';
import { Device } from './device';
import { Icon } from './icon';
import { List, type Pick } from './list';
import { Logo } from './shell';
import { Ticket } from './ticket';
import { TicketDialogs } from './ticket-actions';

const STATES: TicketState[] = ['new', 'processing', 'pending_confirmation', 'reopened', 'done', 'cancelled'];
const NAMES: Record<TicketView, Key> = { mine: 'mine', waiting: 'waiting', open: 'allOpen', closed: 'closed' };
const EMPTY: Record<TicketView, Key> = { mine: 'emptyMyTickets', waiting: 'emptyWaitingTickets', open: 'emptyTickets', closed: 'emptyTickets' };

export function Tickets() {
  const desk = theDesk();
  const { work, id } = route.value;
  const nothingMine = desk.me.value.id === '' && work === 'mine';
  useEffect(() => {
    if (nothingMine) go({ page: 'tickets', work: 'open', ...(id ? { id } : {}) });
  }, [nothingMine]);
  // A device is given orders; a note begun elsewhere must not decide who reads this one.
  useLayoutEffect(() => {
    composer.value = { ...composer.value, mode: 'command' };
  }, [id]);
  useEffect(() => {
    if (id) void desk.tickets.open(id);
    else desk.tickets.close();
  }, [id, desk]);
  useEffect(() => () => desk.tickets.close(), [desk]);
  const ticket = id ? desk.tickets.lists.known.value.get(id) : undefined;
  return (
    <main class="inbox" data-open={ticket !== undefined}>
      <Work view={work} />
      {ticket ? <Ticket key={ticket.id} ticket={ticket} /> : (
        <section class="nothing">{id ? t('loading') : <><Logo /><h2>{t('pickTicket')}</h2><p>{t('pickHint')}</p></>}</section>
      )}
      {ticket && settings.value.details && <Device ticket={ticket} />}
      {ticket && <TicketDialogs ticket={ticket} />}
    </main>
  );
}

function Work({ view }: { view: TicketView }) {
  const { tickets } = theDesk();
  const picks: Pick<TicketFilters>[] = [
    { field: 'state', none: 'anyState', options: STATES.map((state) => [state, word('state_', state)]) },
    { field: 'severity', none: 'anySeverity', options: SEVERITIES.map((severity) => [severity, word('s_', severity)]) },
    ...commonPicks<TicketFilters>(),
  ];
  const views = theDesk().me.value.id ? TICKET_VIEWS : TICKET_VIEWS.filter((each) => each !== 'mine');
  return (
    <List
      lists={tickets.lists} view={view} picks={picks} label={t('tickets')} title={t('tickets')} empty={t(EMPTY[view])} items={tickets.visible(view)}
      row={(ticket) => <TicketRow key={ticket.id} ticket={ticket} view={view} />}
    >
      <nav class="views" aria-label={t('views')}>
        {views.map((each) => <a href={hrefFor({ page: 'tickets', work: each })} aria-current={each === view ? 'page' : undefined}>{t(NAMES[each])}</a>)}
      </nav>
    </List>
  );
}

function TicketRow({ ticket, view }: { ticket: Row; view: TicketView }) {
  const desk = theDesk();
  const { id, severity, number, code, title, state, agent, waiting_since: since } = ticket;
  const here = route.value.id === id;
  const draft = (['reply', 'command', 'note'] as const).map((mode) => desk.drafts.get(id, mode)).find(Boolean);
  return (
    <li>
      <a class="row" href={hrefFor({ page: 'tickets', work: view, id })} aria-current={here ? 'true' : undefined} data-id={id}>
        <span class={`face badge ${severity}`}><Icon name="alert" size={20} /></span>
        <span class="top"><b>{deviceName(ticket)}</b><time dateTime={ticket.created_at}>{ago(ticket.created_at, clock.value)}</time></span>
        <span class="preview"><b>{code}</b> {draft && !here ? <><span class="draft">{t('draft')}:</span> {draft}</> : title}</span>
        <span class="bottom">
          <Severity severity={severity} />
          {isQueued(ticket) && since ? <span class="wait">{t('waits', { time: ago(since, clock.value) })}</span> : <StateChip state={state} />}
          {ticket.settles_at && <Flapping />}
        </span>
        <span class="foot"><span class="number">{number}</span>{agent && <span>{agent.name}</span>}</span>
      </a>
    </li>
  );
}

export function Flapping() {
  return <Chip tone="flapping">{t('flapping')}</Chip>;
}
