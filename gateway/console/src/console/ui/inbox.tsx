// List, conversation and details side by side.
import { useEffect, useLayoutEffect } from 'preact/hooks';
import { composer, theDesk } from '../state/face';
import { go, route } from '../state/router';
import { settings } from '../state/settings';
import { t } from '../strings';
import { Dialogs } from './actions';
import { Conversations } from './conversations';
import { Details } from './details';
import { Logo } from './shell';
import { Thread } from './thread';

export function Inbox() {
  const desk = theDesk();
  const nothingMine = desk.me.value.id === '' && route.value.view === 'mine';
  useEffect(() => {
    if (nothingMine) go({ view: 'all' });
  }, [nothingMine]);
  const { view, id } = route.value;
  // A reply is what one opens a conversation for; a note begun elsewhere must not decide who reads this one. Before the next
  // key, which may ask for a note.
  useLayoutEffect(() => {
    composer.value = { ...composer.value, mode: 'reply' };
  }, [id]);
  useEffect(() => {
    if (id) void desk.openThread(id);
  }, [id, desk]);
  const conversation = id ? desk.lists.known.value.get(id) : undefined;
  return (
    <main class="inbox" data-open={conversation !== undefined}>
      <Conversations view={view} />
      {conversation ? <Thread conversation={conversation} /> : (
        <section class="nothing">{id ? t('loading') : <><Logo /><h2>{t('pickOne')}</h2><p>{t('pickHint')}</p></>}</section>
      )}
      {conversation && settings.value.details && <Details conversation={conversation} />}
      {conversation && <Dialogs conversation={conversation} />}
    </main>
  );
}
