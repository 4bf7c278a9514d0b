// A line of a ticket's history that nobody said: what happened, by whom, when.
import { formatTime } from '../../shared/format';
import type { Entry } from '../api/types';
import type { Desk } from '../state/desk';
import { theDesk } from '../state/face';
import { lang, t, word } from '../strings';

/** A report that took longer than this has the device's time and ours. */
const LATE_MS = 60_000;
/** What a line may say besides. */
const FLAGS = ['late', 'retained', 'held'] as const;
/** What an edit may have changed. */
const FIELDS = ['severity', 'category', 'title'] as const;

export function Happened({ entry }: { entry: Entry }) {
  const { kind, at, text, occurred_at: occurred } = entry;
  const then = occurred ?? at;
  // Devices store and send later; which time is whose then matters.
  const late = Math.abs(Date.parse(at) - Date.parse(then)) > LATE_MS;
  // A report's words stand below it, and who was assigned has been said already.
  const why = ['done', 'cancelled', 'reopened', 'note', 'sent'].includes(kind) ? text : null;
  return (
    <p class={`notice ${kind}`}>
      {facts(entry, theDesk()).join(' · ')}
      {' · '}<time dateTime={then}>{late ? moment(then) : formatTime(then, lang())}</time>
      {late && <> ({t('arrived', { time: moment(at) })})</>}
      {why && <span class="why">{why}</span>}
    </p>
  );
}

function facts({ kind, agent, data }: Entry, desk: Desk): string[] {
  const values = data ?? {};
  const nameOf = (all: { id: string; name: string }[], id: unknown): string | undefined => all.find((each) => each.id === id)?.name;
  const group = nameOf(desk.groups.value, values['group']);
  const to = values['to'];
  const changed = FIELDS.flatMap((field) => {
    const change = values[field];
    if (kind !== 'edited' || !change || typeof change !== 'object' || !('to' in change)) return [];
    const value = typeof change.to === 'string' ? change.to : t('none');
    return `${t(field)}: ${field === 'severity' ? word('s_', value) : value}`;
  });
  const assignee = nameOf(desk.agents.value, values['assignee']);
  const self = values['assignee'] === agent?.id;
  const what = kind !== 'assigned' ? word('e_', kind) : self ? t('e_taken') : t('e_assigned', { to: assignee ?? t('agent') });
  return [
    what, ...(agent ? [agent.name] : []), ...(group ? [group] : []), ...(typeof to === 'string' ? [word('state_', to)] : []),
    ...changed, ...FLAGS.filter((flag) => values[flag] === true).map((flag) => t(`f_${flag}`)),
  ];
}

function moment(at: string): string {
  return new Date(at).toLocaleString(lang(), { dateStyle: 'short', timeStyle: 'short' });
}
