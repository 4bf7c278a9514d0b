// The list of conversations: mine, waiting or all.
import type { Filters } from '../api/calls';
import type { Conversation, View } from '../api/types';
import { clock, theDesk } from '../state/face';
import { hrefFor, route } from '../state/router';
import { ago, t, word, type Key } from '../strings';
import { Avatar, StateChip } from './common';
import { KindIcon } from './icon';
import { List, type Pick } from './list';

const STATES = ['new', 'waiting', 'open', 'pending', 'snoozed', 'resolved', 'closed'];
const EMPTY: Record<View, Key> = { mine: 'emptyMine', waiting: 'emptyWaiting', all: 'emptyAll' };

/** Anonymous visitors have a long random address; its first letters tell them apart. */
export function contactName({ contact }: Conversation): string {
  const anonymous = /^anon:(\w{4})/.exec(contact.address);
  return contact.name || (anonymous ? t('visitor', { id: anonymous[1] ?? '' }) : contact.address);
}

/** Filters by channel, group and agent, which tickets have too. */
export function commonPicks<F extends Filters>(): Pick<F>[] {
  const desk = theDesk();
  return [
    { field: 'channel', none: 'anyChannel', options: desk.channels.value.map(({ id }) => [id, id]) },
    { field: 'group', none: 'anyGroup', options: desk.groups.value.map(({ id, name }) => [id, name]) },
    { field: 'agent', none: 'anyAgent', options: desk.agents.value.map(({ id, name }) => [id, name]) },
  ];
}

export function Conversations({ view }: { view: View }) {
  const desk = theDesk();
  const picks: Pick<Filters>[] = [{ field: 'state', none: 'anyState', options: STATES.map((state) => [state, word('state_', state)]) }, ...commonPicks<Filters>()];
  return (
    <List
      lists={desk.lists} view={view} picks={picks} label={t('conversations')} title={t(view)} empty={t(EMPTY[view])} items={desk.visible(view)}
      row={(conversation) => <Row key={conversation.id} conversation={conversation} view={view} />}
    />
  );
}

function Row({ conversation, view }: { conversation: Conversation; view: View }) {
  const desk = theDesk();
  const { id, unread, state, waiting_since: since, agent, last_message: last } = conversation;
  const position = desk.place(conversation);
  const here = route.value.id === id;
  const waiting = state === 'waiting' || state === 'new';
  const draft = desk.drafts.get(id, 'reply');
  const writing = desk.writing.value.find((each) => each.conversation === id);
  const name = contactName(conversation);
  let preview = <>{last?.from === 'agent' && <span class="by">{t('you')}: </span>}{last?.preview}</>;
  if (last?.from === 'agent' && agent && agent.id !== desk.me.value.id) preview = <><span class="by">{agent.name}: </span>{last.preview}</>;
  if (writing) preview = <em>{t(writing.kind === 'agent' ? 'replying' : 'typing', { name: writing.who.name || name })}</em>;
  else if (draft && !here) preview = <><span class="draft">{t('draft')}:</span> {draft}</>;
  return (
    <li>
      <a class={unread ? 'row unread' : 'row'} href={hrefFor({ view, id })} aria-current={here ? 'true' : undefined} data-id={id}>
        <span class="face"><Avatar name={name} /><span class="kind"><KindIcon kind={conversation.channel.kind} size={12} /></span></span>
        <span class="top"><b>{name}</b><time dateTime={conversation.updated_at}>{ago(last?.at ?? conversation.updated_at, clock.value)}</time></span>
        <span class="preview">{preview}</span>
        <span class="bottom">
          {waiting && since ? <span class="wait">{t('waits', { time: ago(since, clock.value) })}{position ? `, ${t('position', { n: position })}` : ''}</span> : <StateChip state={state} />}
          {view === 'all' && agent && <span class="agent">{agent.name}</span>}
          {unread > 0 && <span class="count loud" aria-label={t('unread', { n: unread })}>{unread}</span>}
        </span>
      </a>
    </li>
  );
}
