// Who the contact is and how the conversation stands.
import type { Conversation } from '../api/types';
import { clock, theDesk } from '../state/face';
import { hrefFor } from '../state/router';
import { isClosed } from '../state/work';
import { ago, t } from '../strings';
import { Avatar, Line, Moment, StateChip } from './common';
import { contactName } from './conversations';

export function Details({ conversation }: { conversation: Conversation }) {
  const desk = theDesk();
  const { contact, channel, group, agent, state } = conversation;
  const others = [...desk.lists.known.value.values()].filter((each) => each.contact.id === contact.id && each.id !== conversation.id);
  const tickets = [...desk.tickets.lists.known.value.values()].filter((each) => each.conversation_id === conversation.id && !isClosed(each));
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
        <Line name={t('since')}><Moment at={conversation.created_at} /></Line>
        {state === 'snoozed' && conversation.snoozed_until && <Line name={t('snoozeUntil')}><Moment at={conversation.snoozed_until} /></Line>}
        {conversation.waiting_since && <Line name={t('waiting')}>{ago(conversation.waiting_since, clock.value)}</Line>}
      </dl>
      {others.length > 0 && (
        <>
          <h3>{t('conversations')}</h3>
          <ul>{others.map((each) => <li><a href={hrefFor({ view: 'all', id: each.id })}>{each.channel.id}, {ago(each.updated_at, clock.value)}</a></li>)}</ul>
        </>
      )}
      {tickets.length > 0 && (
        <>
          <h3>{t('tickets')}</h3>
          <ul>{tickets.map((each) => <li><a href={hrefFor({ page: 'tickets', work: 'open', id: each.id })}>{each.number}</a> {each.code}</li>)}</ul>
        </>
      )}
    </aside>
  );
}
