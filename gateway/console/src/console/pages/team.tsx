// Agents and groups: everybody sees them, administrators change them.
import { useEffect, useState } from 'preact/hooks';
import type { Agent, Group } from '../api/types';
import { explain } from '../state/paged';
import { theDesk } from '../state/face';
import { t, word } from '../strings';
import { Action, Avatar, Modal } from '../ui/common';
import { Icon } from '../ui/icon';
import { AgentForm, GroupForm } from './team-forms';

type Editing = { agent: Agent | undefined } | { group: Group | undefined } | { token: string; name: string } | undefined;

export function Team() {
  const desk = theDesk();
  const [editing, setEditing] = useState<Editing>();
  const admin = desk.may('admin');
  const refresh = async (): Promise<void> => {
    await Promise.all([desk.refresh(desk.agents, desk.calls.agents), desk.refresh(desk.groups, desk.calls.groups)]);
  };
  useEffect(() => void refresh(), []);
  const save = async (run: () => Promise<unknown>): Promise<void> => {
    try {
      await run();
      setEditing(undefined);
      await refresh();
    } catch (error) {
      desk.say(explain(error), true);
    }
  };
  const makeToken = async (agent: Agent): Promise<void> => {
    try {
      const made = await desk.calls.addToken(agent.id, 'console');
      setEditing({ token: made.token, name: agent.name });
    } catch (error) {
      desk.say(explain(error), true);
    }
  };
  const close = (): void => setEditing(undefined);
  return (
    <main class="plain-page">
      <h1>{t('team')}</h1>
      <p class="lead">{t('teamLead')}</p>
      <div class="heading"><h2>{t('agents')}</h2>{admin && <Action run={() => setEditing({ agent: undefined })}><Icon name="plus" size={16} />{t('addAgent')}</Action>}</div>
      <table>
        <thead><tr><th scope="col">{t('name')}</th><th scope="col">{t('role')}</th><th scope="col">{t('presenceHead')}</th><th scope="col">{t('loadHead')}</th>{admin && <th scope="col">{t('actions')}</th>}</tr></thead>
        <tbody>
          {desk.agents.value.map((agent) => (
            <tr key={agent.id}>
              <td><span class="named"><Avatar name={agent.name} size={28} /> <b>{agent.name}</b> <small>{agent.groups.map((group) => group.name).join(', ')}</small></span></td>
              <td>{word('role_', agent.role)}{!agent.active && <small> ({t('inactive')})</small>}</td>
              <td><span class={`dot ${agent.presence}`}>{word('', agent.presence)}</span></td>
              <td class="number"><meter min={0} max={Math.max(1, agent.capacity)} value={agent.load} aria-label={t('loadHead')} /> {agent.load} / {agent.capacity}</td>
              {admin && <td><Action run={() => setEditing({ agent })}>{t('edit')}<span class="sr"> {agent.name}</span></Action> <Action kind="plain" run={() => makeToken(agent)}>{t('makeToken')}<span class="sr"> {agent.name}</span></Action></td>}
            </tr>
          ))}
        </tbody>
      </table>
      <div class="heading"><h2>{t('groups')}</h2>{admin && <Action run={() => setEditing({ group: undefined })}><Icon name="plus" size={16} />{t('addGroup')}</Action>}</div>
      <table>
        <thead><tr><th scope="col">{t('name')}</th><th scope="col">{t('strategy')}</th><th scope="col">{t('members')}</th><th scope="col">{t('channels')}</th>{admin && <th scope="col">{t('actions')}</th>}</tr></thead>
        <tbody>
          {desk.groups.value.map((group) => (
            <tr key={group.id}>
              <td><b>{group.name}</b></td>
              <td>{word('', group.strategy)}</td>
              <td>{group.members.map((id) => desk.agents.value.find((agent) => agent.id === id)?.name ?? '?').join(', ')}</td>
              <td>{group.channels.join(', ')}</td>
              {admin && <td><Action run={() => setEditing({ group })}>{t('edit')}<span class="sr"> {group.name}</span></Action></td>}
            </tr>
          ))}
        </tbody>
      </table>
      {editing && 'agent' in editing && (
        <AgentForm agent={editing.agent} close={close} save={(fields) => save(() => (editing.agent ? desk.calls.changeAgent(editing.agent.id, fields) : desk.calls.addAgent(fields)))} />
      )}
      {editing && 'group' in editing && (
        <GroupForm group={editing.group} close={close} save={(fields) => save(() => (editing.group ? desk.calls.changeGroup(editing.group.id, fields) : desk.calls.addGroup(fields)))} />
      )}
      {editing && 'token' in editing && <NewToken token={editing.token} name={editing.name} close={close} />}
    </main>
  );
}

function NewToken({ token, name, close }: { token: string; name: string; close: () => void }) {
  const [copied, setCopied] = useState(false);
  const copy = async (): Promise<void> => {
    // Not there without TLS; the text can still be selected by hand.
    await navigator.clipboard?.writeText(token).then(() => setCopied(true), () => undefined);
  };
  return (
    <Modal title={t('tokenFor', { name })} close={close}>
      <p>{t('tokenOnce')}</p>
      <p class="secret"><code>{token}</code></p>
      <div class="buttons"><Action kind="primary" run={copy}>{copied ? t('copied') : t('copy')}</Action><Action run={close}>{t('close')}</Action></div>
    </Modal>
  );
}
