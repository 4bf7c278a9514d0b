// What can be done with a conversation, as buttons and as dialogs that shortcuts open too.
import { useState } from 'preact/hooks';
import type { Conversation, Named } from '../api/types';
import { dialog, theDesk } from '../state/face';
import { isDone } from '../state/lists';
import { lang, t, word } from '../strings';
import { Action, Avatar, Modal } from './common';
import { Icon } from './icon';

/** Assign, snooze and close or reopen, by what the state allows. */
export function Actions({ conversation }: { conversation: Conversation }) {
  const desk = theDesk();
  if (!desk.may('agent')) return null;
  const { id } = conversation;
  return (
    <div class="actions" role="group" aria-label={t('actions')}>
      <Action kind="plain" run={() => (dialog.value = 'assign')}><Icon name="user" size={16} /><span>{t('assign')}</span></Action>
      {!isDone(conversation) && <Action kind="plain" run={() => (dialog.value = 'snooze')}><Icon name="moon" size={16} /><span>{t('snooze')}</span></Action>}
      {isDone(conversation) || conversation.state === 'snoozed'
        ? <Action run={() => desk.order(id, 'reopen')}>{t('reopen')}</Action>
        : <Action run={() => resolve(conversation)}><Icon name="check" size={16} />{t('resolve')}</Action>}
    </div>
  );
}

export function resolve(conversation: Conversation, resolved = true): Promise<boolean> {
  return theDesk().order(conversation.id, 'close', { resolved });
}

/** The dialog that is open, if any. */
export function Dialogs({ conversation }: { conversation: Conversation }) {
  const close = (): void => void (dialog.value = undefined);
  if (dialog.value === 'assign') return <Assign agent={conversation.agent} order={(to) => theDesk().order(conversation.id, 'assign', to)} close={close} />;
  if (dialog.value === 'snooze') return <Snooze conversation={conversation} close={close} />;
  return null;
}

type Assignee = { agent_id?: string; group_id?: string };

/** To whom a conversation or a ticket goes; `agent` has it now. */
export function Assign({ agent: now, order: give, close }: { agent: Named | null; order: (to: Assignee) => Promise<boolean>; close: () => void }) {
  const desk = theDesk();
  const me = desk.me.value;
  const assign = async (to: Assignee): Promise<void> => {
    if (await give(to)) close();
  };
  const order = { online: 0, away: 1, offline: 2 };
  const agents = [...desk.agents.value].sort((a, b) => Number(b.id === me.id) - Number(a.id === me.id) || order[a.presence] - order[b.presence] || a.load - b.load);
  return (
    <Modal title={t('assignTo')} close={close}>
      <h3>{t('agents')}</h3>
      <ul class="choices">
        {agents.filter((agent) => agent.role !== 'auditor' && agent.active).map((agent) => (
          <li>
            <button type="button" class="choice" aria-current={now?.id === agent.id ? 'true' : undefined} onClick={() => void assign({ agent_id: agent.id })}>
              <Avatar name={agent.name} size={28} />
              <b>{agent.name}{agent.id === me.id && ` (${t('you')})`}</b>
              <span class={`dot ${agent.presence}`}>{word('', agent.presence)}</span>
              <small>{agent.load} / {agent.capacity}</small>
            </button>
          </li>
        ))}
      </ul>
      <h3>{t('groups')}</h3>
      <ul class="choices">
        {desk.groups.value.map((group) => (
          <li><button type="button" class="choice" onClick={() => void assign({ group_id: group.id })}><Icon name="team" /><b>{group.name}</b></button></li>
        ))}
        <li><button type="button" class="choice" onClick={() => void assign({})}><Icon name="clock" /><b>{t('toQueue')}</b></button></li>
      </ul>
    </Modal>
  );
}

function atNine(days: number): Date {
  const day = new Date();
  day.setDate(day.getDate() + days);
  day.setHours(9, 0, 0, 0);
  return day;
}

function Snooze({ conversation, close }: { conversation: Conversation; close: () => void }) {
  const desk = theDesk();
  const [other, setOther] = useState('');
  const snooze = async (until: Date): Promise<void> => {
    if (await desk.order(conversation.id, 'snooze', { until: until.toISOString() })) close();
  };
  const inHours = (hours: number): Date => new Date(Date.now() + hours * 3_600_000);
  const untilMonday = ((8 - new Date().getDay()) % 7) || 7;
  const choices: [string, Date][] = [
    [t('inOneHour'), inHours(1)], [t('inThreeHours'), inHours(3)], [t('tomorrow'), atNine(1)], [t('nextMonday'), atNine(untilMonday)],
  ];
  const show = (at: Date): string => at.toLocaleString(lang(), { weekday: 'short', hour: '2-digit', minute: '2-digit' });
  return (
    <Modal title={t('snoozeUntil')} close={close}>
      <ul class="choices">
        {choices.map(([name, at]) => (
          <li><button type="button" class="choice" onClick={() => void snooze(at)}><b>{name}</b><small>{show(at)}</small></button></li>
        ))}
      </ul>
      <form class="inline" onSubmit={(event) => (event.preventDefault(), other && void snooze(new Date(other)))}>
        <label>{t('otherTime')}<input type="datetime-local" value={other} required onInput={(event) => setOther(event.currentTarget.value)} /></label>
        <button class="button">{t('snooze')}</button>
      </form>
    </Modal>
  );
}
