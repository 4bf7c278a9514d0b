// The forms for one agent and one group.
import { useState } from 'preact/hooks';
import type { Agent, Group, Role } from '../api/types';
import type { AgentFields } from '../api/calls';
import { theDesk } from '../state/face';
import { t, word } from '../strings';
import { Action, Modal } from '../ui/common';

const ROLES: Role[] = ['agent', 'supervisor', 'admin', 'auditor'];
const STRATEGIES: Group['strategy'][] = ['round_robin', 'least_loaded'];
const CAPACITY_MAX = 500;

export function AgentForm({ agent, close, save }: { agent: Agent | undefined; close: () => void; save: (fields: AgentFields) => Promise<void> }) {
  const [fields, setFields] = useState<AgentFields>({ name: agent?.name ?? '', role: agent?.role ?? 'agent', capacity: agent?.capacity ?? 5, active: agent?.active ?? true });
  const set = (change: Partial<AgentFields>): void => setFields({ ...fields, ...change });
  return (
    <Modal title={t(agent ? 'editAgent' : 'addAgent')} close={close}>
      <form class="form" onSubmit={(event) => (event.preventDefault(), void save(fields))}>
        <label>{t('name')}<input required maxLength={100} value={fields.name} autofocus onInput={(event) => set({ name: event.currentTarget.value })} /></label>
        <label>{t('role')}
          <select value={fields.role} onChange={(event) => set({ role: event.currentTarget.value as Role })}>{ROLES.map((role) => <option value={role}>{word('role_', role)}</option>)}</select>
        </label>
        <label>{t('capacity')}<input type="number" min={0} max={CAPACITY_MAX} required value={fields.capacity} onInput={(event) => set({ capacity: event.currentTarget.valueAsNumber || 0 })} /></label>
        <label class="check"><input type="checkbox" checked={fields.active} onChange={(event) => set({ active: event.currentTarget.checked })} />{t('active')}</label>
        <div class="buttons"><button class="button primary">{t('save')}</button><Action run={close}>{t('cancel')}</Action></div>
      </form>
    </Modal>
  );
}

type GroupFields = Omit<Group, 'id'>;

export function GroupForm({ group, close, save }: { group: Group | undefined; close: () => void; save: (fields: GroupFields) => Promise<void> }) {
  const desk = theDesk();
  const [fields, setFields] = useState<GroupFields>({
    name: group?.name ?? '', strategy: group?.strategy ?? 'least_loaded', members: group?.members ?? [], channels: group?.channels ?? [],
  });
  const set = (change: Partial<GroupFields>): void => setFields({ ...fields, ...change });
  return (
    <Modal title={t(group ? 'editGroup' : 'addGroup')} close={close}>
      <form class="form" onSubmit={(event) => (event.preventDefault(), void save(fields))}>
        <label>{t('name')}<input required maxLength={100} value={fields.name} autofocus onInput={(event) => set({ name: event.currentTarget.value })} /></label>
        <label>{t('strategy')}
          <select value={fields.strategy} onChange={(event) => set({ strategy: event.currentTarget.value as Group['strategy'] })}>{STRATEGIES.map((each) => <option value={each}>{word('', each)}</option>)}</select>
        </label>
        <Several legend={t('members')} options={desk.agents.value.map(({ id, name }) => [id, name])} chosen={fields.members} set={(members) => set({ members })} />
        <Several legend={t('channels')} options={desk.channels.value.map(({ id }) => [id, id])} chosen={fields.channels} set={(channels) => set({ channels })} />
        <div class="buttons"><button class="button primary">{t('save')}</button><Action run={close}>{t('cancel')}</Action></div>
      </form>
    </Modal>
  );
}

function Several({ legend, options, chosen, set }: { legend: string; options: [string, string][]; chosen: string[]; set: (chosen: string[]) => void }) {
  return (
    <fieldset>
      <legend>{legend}</legend>
      {options.map(([id, name]) => (
        <label class="check"><input type="checkbox" checked={chosen.includes(id)} onChange={(event) => set(event.currentTarget.checked ? [...chosen, id] : chosen.filter((each) => each !== id))} />{name}</label>
      ))}
    </fieldset>
  );
}
