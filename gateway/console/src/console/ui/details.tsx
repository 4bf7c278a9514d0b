// Who the contact is and how the conversation stands.
import type { ComponentChildren } from 'preact';
import type { Conversation } from '../api/types';
import { clock, theDesk } from '../state/face';
import { hrefFor } from '../state/router';
import { ago, lang, t } from '../strings';
import { Avatar, StateChip } from './common';
import { contactName } from './list';

export function Details({ conversation }: { conversation: Conversation }) {
  const desk = theDesk();
  const { contact, channel, group, agent, state } = conversation;
  const others = [...desk.known.value.values()].filter((each) => each.contact.id === contact.id && each.id !== conversation.id);
  return (
    <aside class="details" aria-label={t('details')}>
      <Avatar name={contactName(conversation)} size={56} />
      <h2>{contactName(conversation)}</h2>
      <p class={contact.verified ? 'verified' : 'unverified'}>{t(contact.verified ? 'verified' : 'notVerified')}</p>
      <dl>
        <Line name={t('address')}>{contact.address}</Line>
        <Line name={t('locale')}>{contact.locale ?? t('none')}</Line>
        <Line name={t('channel')}>{channel.id} <small>{channel.kind}</small></Line>
        <Line name={t('group')}>{group?.name ?? t('none')}</Line>
        <Line name={t('agent')}>{agent?.name ?? t('nobody')}</Line>
        <Line name={t('state')}><StateChip state={state} /></Line>
        <Line name={t('since')}><time dateTime={conversation.created_at}>{new Date(conversation.created_at).toLocaleString(lang(), { dateStyle: 'medium', timeStyle: 'short' })}</time></Line>
        {state === 'snoozed' && conversation.snoozed_until && <Line name={t('snoozeUntil')}>{new Date(conversation.snoozed_until).toLocaleString(lang(), { dateStyle: 'medium', timeStyle: 'short' })}</Line>}
        {conversation.waiting_since && <Line name={t('waiting')}>{ago(conversation.waiting_since, clock.value)}</Line>}
      </dl>
      {others.length > 0 && (
        <>
          <h3>{t('conversations')}</h3>
          <ul>{others.map((each) => <li><a href={hrefFor({ view: 'all', id: each.id })}>{each.channel.id}, {ago(each.updated_at, clock.value)}</a></li>)}</ul>
        </>
      )}
    </aside>
  );
}

function Line({ name, children }: { name: string; children: ComponentChildren }) {
  return <div><dt>{name}</dt><dd>{children}</dd></div>;
}
