// The fake's tickets in the agents' API, checked as strictly as the rest.
import type { Agent, Outcome, Ticket, TicketState } from '../src/console/api/types';
import type { Part } from '../src/shared/wire';
import type { Fleet, Work } from './fleet';
import { Problem, type Call } from './http';
import type { World } from './world';

export const TICKET_FILTERS = ['view', 'state', 'severity', 'channel', 'group', 'agent', 'device', 'q', 'cursor', 'limit'];
const CLOSED: TicketState[] = ['done', 'cancelled'];
const QUEUED: TicketState[] = ['new', 'reopened'];

export function listTickets(fleet: Fleet, query: URLSearchParams, me: Agent): Ticket[] {
  const q = query.get('q')?.toLowerCase();
  const view = query.get('view') ?? 'all';
  const matching = [...fleet.tickets.values()].filter((each) => {
    const closed = CLOSED.includes(each.state);
    if (view === 'mine' && (closed || each.agent?.id !== me.id)) return false;
    if (view === 'waiting' && !QUEUED.includes(each.state)) return false;
    if ((view === 'open' && closed) || (view === 'closed' && !closed)) return false;
    for (const field of ['state', 'severity', 'device'] as const) if (query.get(field) && each[field] !== query.get(field)) return false;
    for (const field of ['channel', 'group', 'agent'] as const) if (query.get(field) && each[field]?.id !== query.get(field)) return false;
    return !q || each.number.toLowerCase() === q || `${each.device} ${each.code} ${each.title}`.toLowerCase().includes(q);
  });
  matching.sort((a, b) => b.updated_at.localeCompare(a.updated_at));
  return matching.map((each) => fleet.show(each));
}

export function historyOf(work: Work, call: Call): object {
  const after = Number(call.query.get('after') ?? 0);
  const limit = Math.min(200, Number(call.query.get('limit') ?? 50));
  const items = work.history.filter((entry) => entry.pos > after).slice(0, limit);
  const last = items[items.length - 1];
  return { items: structuredClone(items), next: last && last.pos < work.last_pos && items.length >= limit ? String(last.pos) : null };
}

/** Done to a ticket by somebody; answers the message it made. */
export function actOn(world: World, work: Work, verb: string, body: Record<string, unknown>, me: Agent): Outcome['message'] {
  const { fleet } = world;
  const closed = CLOSED.includes(work.state);
  const only = (fields: string[]): void => {
    for (const field of Object.keys(body)) if (!fields.includes(field)) world.violate(`${field} in ${verb} of a ticket`);
  };
  const become = (state: TicketState): void => {
    if (closed !== (state === 'reopened')) throw new Problem(409, 'bad_transition', `the ticket is ${work.state}`);
    fleet.change(work, { state, waiting_since: null }, { kind: state === 'done' || state === 'cancelled' ? state : 'reopened', agent: me, data: { from: work.state, to: state }, ...(body['text'] ? { text: String(body['text']) } : {}) });
  };
  switch (verb) {
    case 'reply': {
      only(['content', 'version', 'expires_in']);
      const content = body['content'] as Part[];
      if (!Array.isArray(content) || content.length === 0) throw new Problem(422, 'invalid', 'content is empty');
      return fleet.send(work, me, content);
    }
    case 'note':
      only(['text']);
      fleet.change(work, {}, { kind: 'note', agent: me, text: String(body['text']) });
      return null;
    case 'assign': {
      only(['agent_id', 'group_id', 'version']);
      if (closed) throw new Problem(409, 'bad_transition', `the ticket is ${work.state}`);
      const agent = world.agents.find((each) => each.id === body['agent_id']);
      const group = world.groups.find((each) => each.id === body['group_id']);
      const fields: Partial<Ticket> = {
        agent: agent ? { id: agent.id, name: agent.name } : null, group: group ? { id: group.id, name: group.name } : work.group,
        state: agent ? 'processing' : work.state === 'new' ? 'new' : 'reopened', waiting_since: agent ? null : new Date().toISOString(),
      };
      fleet.change(work, fields, { kind: agent ? 'assigned' : 'queued', agent: me, data: { from: work.state, to: fields.state, ...(agent ? { assignee: agent.id } : {}), ...(group ? { group: group.id } : {}) } });
      return null;
    }
    case 'confirm': only(['version', 'text']); become('done'); return null;
    case 'cancel': only(['version', 'text']); become('cancelled'); return null;
    case 'reopen': only(['version', 'text']); become('reopened'); return null;
    case 'edit': {
      only(['category', 'severity', 'title', 'version']);
      const before = Object.fromEntries(Object.entries(body).map(([field, to]) => [field, { from: work[field as 'category' | 'severity' | 'title'], to: to || null }]));
      fleet.change(work, { ...body, ...(body['category'] === '' ? { category: null } : {}) }, { kind: 'edited', agent: me, data: before });
      return null;
    }
  }
  throw new Problem(404, 'not_found', verb);
}
