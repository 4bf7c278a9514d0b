// One message, note or notice, and how its delivery went.
import { formatTime } from '../../shared/format';
import type { Delivery, Message } from '../api/types';
import { theDesk } from '../state/face';
import type { Send } from '../state/sender';
import { settings } from '../state/settings';
import { lang, t, word, type Key } from '../strings';
import { Icon, type IconName } from './icon';
import { PartView } from './part';

/** Shown with its time and state; the others of a group only when something is wrong. */
export interface Place {
  first: boolean;
  last: boolean;
}

export function MessageView({ message, contact, first, last }: { message: Message; contact: string } & Place) {
  if (message.kind === 'notice') return <Notice message={message} />;
  const side = message.direction === 'inbound' ? 'in' : 'out';
  const note = message.kind === 'note';
  const bad = message.delivery && ['failed', 'expired', 'unknown'].includes(message.delivery.state);
  // A mail with both forms says the same thing twice.
  const parts = message.content.some((part) => part.type === 'text') ? message.content.filter((part) => part.type !== 'html') : message.content;
  return (
    <article class={`message ${note ? 'note' : side}${first ? ' first' : ''}`} data-id={message.id}>
      {first && <header>{message.from.name || (side === 'in' ? contact : '')}{note && <span class="tag"><Icon name="note" size={13} />{t('internal')}</span>}</header>}
      {!first && note && <span class="sr">{t('internal')}</span>}
      {parts.map((part) => <PartView part={part} />)}
      {(last || bad) && (
        <footer>
          <time dateTime={message.at}>{formatTime(message.at, lang())}</time>
          {message.delivery && <DeliveryView delivery={message.delivery} />}
        </footer>
      )}
    </article>
  );
}

const ICONS: Partial<Record<Delivery['state'], IconName>> = { queued: 'clock', accepted: 'clock', sent: 'check', delivered: 'checks', read: 'checks', failed: 'alert', expired: 'alert', unknown: 'alert' };

function DeliveryView({ delivery }: { delivery: Delivery }) {
  const { state, reason, attempts } = delivery;
  return (
    <span class={`delivery ${state}`}>
      <Icon name={ICONS[state] ?? 'clock'} size={14} />
      {word('d_', state)}
      {reason && <span class="reason">: {reason}</span>}
      {attempts > 1 && state !== 'read' && state !== 'delivered' && <span> ({t('attempts', { n: attempts })})</span>}
    </span>
  );
}

function Notice({ message }: { message: Message }) {
  return <p class="notice">{noticeText(message)} · <time dateTime={message.at}>{formatTime(message.at, lang())}</time></p>;
}

const MOMENT = /\d{4}-\d\d-\d\dT[\d:.]+Z/g;

/** The server's sentence is English and names what it is in `notice`, so that it can be said in another language. */
function noticeText(message: Message): string {
  const part = message.content[0];
  const text = (part?.text ?? part?.name ?? '').replace(MOMENT, (at) => new Date(at).toLocaleString(lang(), { dateStyle: 'medium', timeStyle: 'short' }));
  const what = String(part?.['notice'] ?? '');
  if (settings.value.lang === 'en' || !what) return text;
  const by = message.from.name ?? t('appName');
  const to = /^Assigned to (.+?)(?: by |$)/.exec(text)?.[1];
  return what === 'assigned' && to ? t('n_assigned_to', { name: by, to }) : word('n_', what) === what ? text : t(`n_${what}` as Key, { name: by });
}

/** Written, but not yet confirmed by the server. */
export function SendView({ send }: { send: Send }) {
  const { sender } = theDesk();
  return (
    <article class={`message pending ${send.kind === 'note' ? 'note' : 'out'} first ${send.state}`}>
      {send.content.map((part) => <PartView part={part} />)}
      <footer>
        {send.state === 'failed' ? (
          <>
            <span class="delivery failed"><Icon name="alert" size={14} />{t('notSent')}<span class="reason">: {send.problem}</span></span>
            <button type="button" class="link" onClick={() => sender.retry(send.key)}>{t('tryAgain')}</button>
            <button type="button" class="link" onClick={() => sender.remove(send.key)}>{t('discard')}</button>
          </>
        ) : (
          <span class="delivery queued"><Icon name="clock" size={14} />{t(send.state === 'waiting' ? 'willRetry' : 'sending')}</span>
        )}
      </footer>
    </article>
  );
}
