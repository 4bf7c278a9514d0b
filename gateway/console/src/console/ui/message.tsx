// One message, note or notice, and how its delivery went.
import { formatTime } from '../../shared/format';
import type { Delivery, Message } from '../api/types';
import { theDesk } from '../state/face';
import type { Send } from '../state/sender';
import { lang, t, word } from '../strings';
import { Icon, type IconName } from './icon';
import { PartView } from './part';

/** Shown with its time and state; the others of a group only when something is wrong. */
export interface Place {
  first: boolean;
  last: boolean;
}

export function MessageView({ message, first, last }: { message: Message } & Place) {
  if (message.kind === 'notice') return <Notice message={message} />;
  const side = message.direction === 'inbound' ? 'in' : 'out';
  const note = message.kind === 'note';
  const bad = message.delivery && ['failed', 'expired', 'unknown'].includes(message.delivery.state);
  // A mail with both forms says the same thing twice.
  const parts = message.content.some((part) => part.type === 'text') ? message.content.filter((part) => part.type !== 'html') : message.content;
  return (
    <article class={`message ${note ? 'note' : side}${first ? ' first' : ''}`} data-id={message.id}>
      {first && <header>{message.from.name}{note && <span class="tag"><Icon name="note" size={13} />{t('internal')}</span>}</header>}
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
  const part = message.content[0];
  const by = String(part?.['by'] ?? message.from.name ?? t('appName'));
  let text = part?.text ?? part?.name ?? '';
  if (part?.type === 'event' && part.name === 'assigned') text = t('n_assigned', { name: by, to: String(part['to'] ?? '') });
  else if (part?.type === 'event' && part.name && word('state_', part.name) !== part.name) text = t('n_state', { name: by, state: word('state_', part.name) });
  return <p class="notice">{text} · <time dateTime={message.at}>{formatTime(message.at, lang())}</time></p>;
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
