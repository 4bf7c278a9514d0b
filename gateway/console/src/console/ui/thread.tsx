// The open conversation: its head with actions, the messages, who is writing, and the composer.
import { useEffect } from 'preact/hooks';
import { sameDay } from '../../shared/format';
import type { Conversation, Message } from '../api/types';
import { theDesk } from '../state/face';
import { isDone } from '../state/lists';
import { pending, type Loaded } from '../state/messages';
import { hrefFor, route } from '../state/router';
import { choose, settings } from '../state/settings';
import { t, word } from '../strings';
import { Actions } from './actions';
import { Action, Avatar, StateChip } from './common';
import { Composer } from './composer';
import { contactName } from './conversations';
import { Icon, KindIcon } from './icon';
import { Day, Log } from './log';
import { MessageView, SendView } from './message';

const GROUP_MS = 300_000;

export function Thread({ conversation }: { conversation: Conversation }) {
  const desk = theDesk();
  const loaded = desk.threads.value.get(conversation.id);
  useRead(conversation, loaded);
  return (
    <section class="thread" aria-label={contactName(conversation)}>
      <Head conversation={conversation} />
      <Messages key={conversation.id} conversation={conversation} loaded={loaded} />
      <Writing conversation={conversation} />
      <Reply key={`composer ${conversation.id}`} conversation={conversation} />
    </section>
  );
}

function Head({ conversation }: { conversation: Conversation }) {
  const name = contactName(conversation);
  return (
    <header class="head">
      <a class="icon-button back" href={hrefFor({ view: route.value.view })} aria-label={t('conversations')}><Icon name="back" /></a>
      <Avatar name={name} size={40} />
      <div class="title">
        <h2>{name}</h2>
        <p><StateChip state={conversation.state} /><KindIcon kind={conversation.channel.kind} size={14} /><span class="line">{conversation.channel.id} · {conversation.agent?.name ?? t('nobody')}</span></p>
      </div>
      <Actions conversation={conversation} />
      <DetailsButton />
    </header>
  );
}

export function DetailsButton() {
  return <button type="button" class="icon-button" aria-pressed={settings.value.details} aria-label={t('details')} title={t('details')} onClick={() => choose({ details: !settings.value.details })}><Icon name="panel" /></button>;
}

/** Reports as read what is on the screen of somebody who looks at it. */
function useRead(conversation: Conversation, loaded: Loaded | undefined): void {
  const desk = theDesk();
  useEffect(() => {
    const look = (): void => {
      if (document.visibilityState === 'visible' && document.hasFocus() && loaded && !loaded.loading) void desk.markRead(conversation.id);
    };
    look();
    addEventListener('focus', look);
    document.addEventListener('visibilitychange', look);
    return () => {
      removeEventListener('focus', look);
      document.removeEventListener('visibilitychange', look);
    };
  }, [conversation.id, conversation.unread, loaded]);
}

function Messages({ conversation, loaded }: { conversation: Conversation; loaded: Loaded | undefined }) {
  const desk = theDesk();
  const messages = loaded?.messages ?? [];
  const sends = pending(desk.sends.value.filter((send) => send.conversation === conversation.id && !send.ticket), messages, desk.me.value.id);
  const older = loaded?.more ? () => void desk.loadOlder(conversation.id) : undefined;
  return (
    <Log label={t('messages')} loading={!loaded || loaded.loading === true} older={older} oldest={messages[0]?.id} newest={[messages, sends.length]}>
      {messages.map((message, index) => {
        const before = messages[index - 1];
        const after = messages[index + 1];
        return (
          <>
            <Day key={`day ${message.id}`} at={message.at} before={before?.at} />
            <MessageView key={message.id} message={message} contact={contactName(conversation)} first={!before || !together(before, message)} last={!after || !together(message, after) || after.delivery?.state !== message.delivery?.state} />
          </>
        );
      })}
      {sends.map((send) => <SendView key={send.key} send={send} />)}
    </Log>
  );
}

function together(one: Message, other: Message): boolean {
  return (
    one.kind === other.kind && one.kind !== 'notice' && one.from.id === other.from.id && one.direction === other.direction &&
    Date.parse(other.at) - Date.parse(one.at) < GROUP_MS && sameDay(one.at, other.at)
  );
}

function Writing({ conversation }: { conversation: Conversation }) {
  const desk = theDesk();
  const writing = desk.writing.value.filter((each) => each.conversation === conversation.id);
  return (
    <div class="writing" aria-live="polite">
      {writing.map((each) => (
        <span class={each.kind}>{t(each.kind === 'agent' ? 'replying' : 'typing', { name: each.who.name || contactName(conversation) })}</span>
      ))}
    </div>
  );
}

function Reply({ conversation }: { conversation: Conversation }) {
  const desk = theDesk();
  const { id, agent, channel, state } = conversation;
  const done = isDone(conversation);
  const modes = channel.kind === 'mqtt' ? (['reply', 'command', 'note'] as const) : (['reply', 'note'] as const);
  return (
    <Composer target={{ id, conversation: id, name: contactName(conversation), modes, contact: true }}>
      {(mode) => (
        <>
          {done && mode !== 'note' && <p class="composer-hint">{t('doneHint', { state: word('state_', state) })}</p>}
          {!agent && !done && desk.me.value.id && (
            <p class="composer-hint">{t('takeHint')} <Action kind="primary small" run={() => desk.order(id, 'assign', { agent_id: desk.me.value.id })}>{t('take')}</Action></p>
          )}
        </>
      )}
    </Composer>
  );
}
