// The list of conversations: mine, waiting or all, with search, filters and paging by cursor.
import { useEffect, useState } from 'preact/hooks';
import type { Filters } from '../api/calls';
import type { Conversation, View } from '../api/types';
import { clock, theDesk } from '../state/face';
import { hrefFor, route } from '../state/router';
import { ago, t, word, type Key } from '../strings';
import { Avatar, StateChip } from './common';
import { Icon, KindIcon } from './icon';

const STATES = ['new', 'waiting', 'open', 'pending', 'snoozed', 'resolved', 'closed'];
const SEARCH_PAUSE_MS = 250;
const EMPTY: Record<View, Key> = { mine: 'emptyMine', waiting: 'emptyWaiting', all: 'emptyAll' };

/** Anonymous visitors have a long random address; its first letters tell them apart. */
export function contactName({ contact }: Conversation): string {
  const anonymous = /^anon:(\w{4})/.exec(contact.address);
  return contact.name || (anonymous ? t('visitor', { id: anonymous[1] ?? '' }) : contact.address);
}

export function List({ view }: { view: View }) {
  const desk = theDesk();
  const list = desk.lists.value[view];
  const items = desk.visible(view);
  return (
    <section class="list" aria-label={t('conversations')}>
      <header>
        <h1>{t(view)}</h1>
        <Search key={view} view={view} />
      </header>
      <ul class="rows">
        {items.map((conversation) => <Row key={conversation.id} conversation={conversation} view={view} />)}
      </ul>
      {list.problem && (
        <p class="empty">{list.problem}<br /><button type="button" class="button" onClick={() => void desk.loadList(view)}>{t('tryAgain')}</button></p>
      )}
      {items.length === 0 && !list.loading && !list.problem && <p class="empty">{t(EMPTY[view])}</p>}
      {list.loading && items.length === 0 && <p class="empty">{t('loading')}</p>}
      {list.next && <button type="button" class="button more" onClick={() => void desk.loadList(view, true)}>{t('more')}</button>}
    </section>
  );
}

function Search({ view }: { view: View }) {
  const desk = theDesk();
  const { filters } = desk.lists.value[view];
  const [text, setText] = useState(filters.q ?? '');
  const [open, setOpen] = useState(false);
  const active = Object.entries(filters).filter(([key, value]) => key !== 'q' && value).length;
  // From the newest filters, not from those of this drawing: the pause of the search may end after a filter was chosen.
  const set = (change: Filters): void => desk.filter(view, { ...desk.lists.value[view].filters, ...change });
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
          <Pick label="state" none="anyState" value={filters.state} set={(state) => set({ state })} options={STATES.map((state) => [state, word('state_', state)])} />
          <Pick label="channel" none="anyChannel" value={filters.channel} set={(channel) => set({ channel })} options={desk.channels.value.map(({ id }) => [id, id])} />
          <Pick label="group" none="anyGroup" value={filters.group} set={(group) => set({ group })} options={desk.groups.value.map(({ id, name }) => [id, name])} />
          <Pick label="agent" none="anyAgent" value={filters.agent} set={(agent) => set({ agent })} options={desk.agents.value.map(({ id, name }) => [id, name])} />
          {active > 0 && <button type="button" class="button plain" onClick={() => desk.filter(view, filters.q ? { q: filters.q } : {})}>{t('clearFilters')}</button>}
        </div>
      )}
    </>
  );
}

function Pick({ label, none, value, set, options }: { label: Key; none: Key; value: string | undefined; set: (value: string) => void; options: [string, string][] }) {
  return (
    <select aria-label={t(label)} value={value ?? ''} onChange={(event) => set(event.currentTarget.value)}>
      <option value="">{t(none)}</option>
      {options.map(([id, name]) => <option value={id}>{name}</option>)}
    </select>
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
