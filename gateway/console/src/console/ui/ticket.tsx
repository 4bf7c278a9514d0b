// The open ticket: its head with actions, what happened to it, and the composer to its device.
import type { Entry, Message, Ticket as Shown } from '../api/types';
import { theDesk } from '../state/face';
import { said } from '../state/history';
import { pending } from '../state/messages';
import { hrefFor, route } from '../state/router';
import { deviceName, isClosed } from '../state/work';
import { t, word } from '../strings';
import { Action, Severity, StateChip } from './common';
import { Composer } from './composer';
import { Happened } from './happened';
import { Icon } from './icon';
import { Day, Log } from './log';
import { MessageView, SendView } from './message';
import { DetailsButton } from './thread';
import { TicketActions } from './ticket-actions';
import { Flapping } from './tickets';

export function Ticket({ ticket }: { ticket: Shown }) {
  return (
    <section class="thread" aria-label={`${ticket.number} ${ticket.title}`}>
      <Head ticket={ticket} />
      <History ticket={ticket} />
      <Say ticket={ticket} />
    </section>
  );
}

function Head({ ticket }: { ticket: Shown }) {
  const { severity, state, number, title, code, agent } = ticket;
  return (
    <header class="head">
      <a class="icon-button back" href={hrefFor({ page: 'tickets', work: route.value.work })} aria-label={t('tickets')}><Icon name="back" /></a>
      <span class={`badge ${severity}`}><Icon name="alert" size={20} /></span>
      <div class="title">
        <h2>{title}</h2>
        <p class="fit">
          <span>{number}</span><StateChip state={state} /><Severity severity={severity} />{ticket.settles_at && <Flapping />}
          <span class="line">{code} · {deviceName(ticket)} · {agent?.name ?? t('nobody')}</span>
        </p>
      </div>
      <TicketActions ticket={ticket} />
      <DetailsButton />
    </header>
  );
}

function History({ ticket }: { ticket: Shown }) {
  const desk = theDesk();
  const opened = desk.tickets.opened.value;
  const entries = opened?.id === ticket.id ? opened.entries : [];
  const oldest = entries[0];
  const messages = entries.map(said).filter((message): message is Message => message !== undefined);
  const sends = pending(desk.sends.value.filter((send) => send.ticket === ticket.id), messages, desk.me.value.id);
  const older = oldest && oldest.pos > 1 ? () => void desk.tickets.older() : undefined;
  return (
    <Log label={t('history')} loading={opened?.loading !== false} older={older} oldest={oldest && String(oldest.pos)} newest={[entries, sends.length]}>
      {entries.map((entry, index) => (
        <>
          <Day key={`day ${entry.pos}`} at={entry.at} before={entries[index - 1]?.at} />
          <EntryView key={entry.pos} entry={entry} device={deviceName(ticket)} />
        </>
      ))}
      {sends.map((send) => <SendView key={send.key} send={send} />)}
    </Log>
  );
}

/** What happened, in a line; below it what the device said, or instead of it what was said by us. */
function EntryView({ entry, device }: { entry: Entry; device: string }) {
  const message = said(entry);
  if (message && (entry.kind === 'note' || entry.kind === 'sent')) return <MessageView message={message} contact={device} first last />;
  // That it is over says the line; only what comes with it is news.
  const silent = entry.kind === 'cleared' && !message?.content.some((part) => part.text || part['readings']);
  return (
    <>
      <Happened entry={entry} />
      {message && !silent && <MessageView message={message} contact={device} first={false} last={false} />}
    </>
  );
}

function Say({ ticket }: { ticket: Shown }) {
  const desk = theDesk();
  const { id, agent, state } = ticket;
  const me = desk.me.value.id;
  return (
    <Composer target={{ id, ticket: id, conversation: ticket.conversation_id, name: deviceName(ticket), modes: ['reply', 'command', 'note'], contact: false }}>
      {() => (
        <>
          {isClosed(ticket) && <p class="composer-hint">{t('ticketClosedHint', { state: word('state_', state) })}</p>}
          {!agent && !isClosed(ticket) && me && (
            <p class="composer-hint">{t('takeTicketHint')} <Action kind="primary small" run={() => desk.tickets.order(id, 'assign', { agent_id: me })}>{t('take')}</Action></p>
          )}
        </>
      )}
    </Composer>
  );
}
