// Dead letters: what could not be delivered or understood, why, and what to do with it.
import { useEffect, useState } from 'preact/hooks';
import { formatTime, formatDay } from '../../shared/format';
import type { DeadLetter } from '../api/types';
import { explain } from '../state/paged';
import { theDesk } from '../state/face';
import { go, hrefFor, route } from '../state/router';
import { lang, t, word } from '../strings';
import { Action, Modal } from '../ui/common';

export function Dead() {
  const desk = theDesk();
  const [items, setItems] = useState<DeadLetter[]>();
  const [next, setNext] = useState<string | null>(null);
  const load = async (cursor?: string): Promise<void> => {
    try {
      const page = await desk.calls.dead(cursor);
      setItems((now) => [...(cursor ? (now ?? []) : []), ...page.items]);
      setNext(page.next);
    } catch (error) {
      desk.say(explain(error), true);
    }
  };
  useEffect(() => void load(), []);
  if (!desk.may('supervisor')) return <main class="plain-page"><p>{t('noRight')}</p></main>;
  const gone = (id: string): void => {
    setItems((now) => now?.filter((item) => item.id !== id));
    go({ page: 'dead' });
  };
  return (
    <main class="plain-page">
      <h1>{t('dead')}</h1>
      <p class="lead">{t('deadLead')}</p>
      {!items && <p>{t('loading')}</p>}
      {items?.length === 0 && <p class="empty">{t('deadEmpty')}</p>}
      {items && items.length > 0 && (
        <table>
          <thead><tr><th scope="col">{t('when')}</th><th scope="col">{t('channel')}</th><th scope="col">{t('message')}</th><th scope="col">{t('reason')}</th><th scope="col">{t('attemptsHead')}</th></tr></thead>
          <tbody>
            {items.map((letter) => (
              <tr key={letter.id}>
                <td><time dateTime={letter.at}>{formatDay(letter.at, lang())}, {formatTime(letter.at, lang())}</time></td>
                <td>{letter.channel?.id} <small>{letter.direction && word('', letter.direction)}</small></td>
                <td><a href={hrefFor({ page: 'dead', id: letter.id })}>{letter.preview || letter.id.slice(0, 8)}</a></td>
                <td>{letter.detail ?? letter.reason}</td>
                <td class="number">{letter.attempts}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {next && <Action run={() => load(next)}>{t('more')}</Action>}
      {route.value.id && <Letter key={route.value.id} id={route.value.id} gone={gone} />}
    </main>
  );
}

function Letter({ id, gone }: { id: string; gone: (id: string) => void }) {
  const desk = theDesk();
  const [letter, setLetter] = useState<DeadLetter>();
  const [sure, setSure] = useState(false);
  const close = (): void => go({ page: 'dead' });
  useEffect(() => {
    desk.calls.deadLetter(id).then(setLetter).catch((error: unknown) => (desk.say(explain(error), true), close()));
  }, [id]);
  const act = async (run: () => Promise<unknown>, said: string): Promise<void> => {
    try {
      await run();
      desk.say(said);
      gone(id);
    } catch (error) {
      desk.say(explain(error), true);
    }
  };
  return (
    <Modal title={letter?.preview || t('message')} close={close}>
      {letter ? (
        <>
          <p class="problem">{letter.reason}{letter.detail && `: ${letter.detail}`}</p>
          {letter.conversation_id && <p><a href={hrefFor({ view: 'all', id: letter.conversation_id })}>{t('openConversation')}</a></p>}
          <Json title={t('envelope')} value={letter.envelope} />
          <Json title={t('exchange')} value={letter.exchange} />
          {sure ? (
            <div class="buttons" role="alert">
              <span>{t('dropSure')}</span>
              <Action kind="danger" run={() => act(() => desk.calls.drop(id), t('dropped'))}>{t('drop')}</Action>
              <Action run={() => setSure(false)}>{t('cancel')}</Action>
            </div>
          ) : (
            <div class="buttons">
              <Action kind="primary" run={() => act(() => desk.calls.replay(id), t('replayed'))}>{t('replay')}</Action>
              <Action run={() => setSure(true)}>{t('drop')}</Action>
            </div>
          )}
        </>
      ) : <p>{t('loading')}</p>}
    </Modal>
  );
}

function Json({ title, value }: { title: string; value: unknown }) {
  if (value === undefined || value === null) return null;
  return <><h3 id={title}>{title}</h3><pre tabIndex={0} role="region" aria-label={title}>{JSON.stringify(value, null, 2)}</pre></>;
}
