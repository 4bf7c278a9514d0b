// The open conversation: its head with actions, the messages, who is writing, and the composer.
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { formatDay, sameDay } from '../../shared/format';
import type { Conversation, Message } from '../api/types';
import { theDesk } from '../state/face';
import type { Loaded } from '../state/messages';
import { hrefFor, route } from '../state/router';
import { choose, settings } from '../state/settings';
import { lang, t } from '../strings';
import { Actions } from './actions';
import { Avatar, StateChip } from './common';
import { Composer } from './composer';
import { Icon, KindIcon } from './icon';
import { contactName } from './list';
import { MessageView, SendView } from './message';

const NEAR_END_PX = 120;
const GROUP_MS = 300_000;

export function Thread({ conversation }: { conversation: Conversation }) {
  const desk = theDesk();
  const loaded = desk.threads.value.get(conversation.id);
  useRead(conversation, loaded);
  return (
    <section class="thread" aria-label={contactName(conversation)}>
      <Head conversation={conversation} />
      <Log key={conversation.id} conversation={conversation} loaded={loaded} />
      <Writing conversation={conversation} />
      <Composer key={`composer ${conversation.id}`} conversation={conversation} />
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
      <button type="button" class="icon-button" aria-pressed={settings.value.details} aria-label={t('details')} title={t('details')} onClick={() => choose({ details: !settings.value.details })}><Icon name="panel" /></button>
    </header>
  );
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

function Log({ conversation, loaded }: { conversation: Conversation; loaded: Loaded | undefined }) {
  const desk = theDesk();
  const log = useRef<HTMLDivElement>(null);
  const [following, setFollowing] = useState(true);
  const height = useRef(0);
  const messages = loaded?.messages ?? [];
  const sends = pending(desk.sends.value.filter((send) => send.conversation === conversation.id), messages, desk.me.value.id);
  const oldest = messages[0]?.id;

  useLayoutEffect(() => {
    const element = log.current;
    if (!element) return;
    // Stay at the end while new messages come, and at the same message while older ones are put above it.
    if (following) element.scrollTop = element.scrollHeight;
  }, [messages, sends.length, following]);
  useLayoutEffect(() => {
    const element = log.current;
    if (element && !following) element.scrollTop += element.scrollHeight - height.current;
  }, [oldest]);
  useEffect(() => {
    const element = log.current;
    if (!element) return undefined;
    // Pictures that arrive and a composer that grows move the end away.
    const observer = new ResizeObserver(() => {
      if (following) element.scrollTop = element.scrollHeight;
    });
    observer.observe(element);
    if (element.firstElementChild) observer.observe(element.firstElementChild);
    return () => observer.disconnect();
  }, [following]);

  const scrolled = (element: HTMLElement): void => {
    height.current = element.scrollHeight;
    setFollowing(element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_END_PX);
  };
  return (
    <div class="log" role="log" aria-label={t('messages')} aria-live="polite" aria-busy={!loaded || loaded.loading} tabIndex={0} ref={log} onScroll={(event) => scrolled(event.currentTarget)}>
      <div class="messages">
        {(!loaded || loaded.loading) && <p class="notice">{t('loading')}</p>}
        {loaded?.more && !loaded.loading && <button type="button" class="button plain older" onClick={() => void desk.loadOlder(conversation.id)}>{t('older')}</button>}
        {messages.map((message, index) => {
          const before = messages[index - 1];
          const after = messages[index + 1];
          return (
            <>
              {(!before || !sameDay(before.at, message.at)) && <p class="day" key={`day ${message.id}`}>{dayName(message.at)}</p>}
              <MessageView key={message.id} message={message} contact={contactName(conversation)} first={!before || !together(before, message)} last={!after || !together(message, after) || after.delivery?.state !== message.delivery?.state} />
            </>
          );
        })}
        {sends.map((send) => <SendView key={send.key} send={send} />)}
      </div>
    </div>
  );
}

/** The event of a reply may overtake the answer to its call; then it is in the list already. */
export function pending<S extends { content: unknown; at: number; state: string }>(sends: S[], messages: Message[], me: string): S[] {
  return sends.filter((send) => {
    if (send.state === 'failed') return true;
    const content = JSON.stringify(send.content);
    return !messages.some((message) => message.from.id === me && Date.parse(message.at) >= send.at - 2_000 && JSON.stringify(message.content) === content);
  });
}

function together(one: Message, other: Message): boolean {
  return (
    one.kind === other.kind && one.kind !== 'notice' && one.from.id === other.from.id && one.direction === other.direction &&
    Date.parse(other.at) - Date.parse(one.at) < GROUP_MS && sameDay(one.at, other.at)
  );
}

function dayName(at: string): string {
  const now = Date.now();
  if (sameDay(at, now)) return t('today');
  return sameDay(at, now - 86_400_000) ? t('yesterday') : formatDay(at, lang());
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
