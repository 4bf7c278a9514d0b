// The fake's agents' API: docs/api.md, checked strictly.
import { createHash, randomUUID } from 'node:crypto';
import type { Part } from '../src/shared/wire';
import type { Agent, Conversation, Group, Outcome, Presence, Role } from '../src/console/api/types';
import { jsonBody, Problem, type Call, type Reply } from './http';
import { actOn, historyOf, listTickets, TICKET_FILTERS } from './tickets';
import type { Webchat } from './webchat';
import type { Stored, World } from './world';

const RANK: Role[] = ['auditor', 'agent', 'supervisor', 'admin'];
const QUERY: Record<string, string[]> = {
  '/conversations': ['view', 'state', 'channel', 'group', 'agent', 'q', 'cursor', 'limit'],
  messages: ['before', 'after', 'cursor', 'limit'],
  '/tickets': TICKET_FILTERS,
  history: ['after', 'limit'],
};

/** Behind a token that speaks for no agent. */
const OPERATOR = { id: '', name: '', role: 'admin', capacity: 0, load: 0, presence: 'offline', active: true, groups: [] } as Agent;

export class Api {
  private readonly answered = new Map<string, { hash: string; outcome: Outcome }>();
  private readonly tickets = new Map<string, Agent>();
  /** When set, replies and notes are answered 202 and done later, as on a busy bus. */
  slowCommands = false;

  constructor(
    private readonly world: World,
    private readonly webchat: Webchat,
  ) {}

  /** The agent behind a ticket, once. */
  redeem(ticket: string): Agent | undefined {
    const agent = this.tickets.get(ticket);
    this.tickets.delete(ticket);
    return agent;
  }

  handle(call: Call, path: string): Reply {
    const token = this.world.tokens.find((each) => each.token === call.token);
    const me = token && (this.world.agents.find((agent) => agent.id === token.agent_id) ?? OPERATOR);
    if (!me) throw new Problem(401, 'bad_token', 'this token is not known');
    const need = (role: Role): void => {
      if (RANK.indexOf(me.role) < RANK.indexOf(role)) throw new Problem(403, 'forbidden', `needs ${role}`);
    };
    const [, root, id, verb] = path.split('/');
    const allowed = QUERY[path] ?? (verb ? QUERY[verb] : undefined) ?? ['cursor', 'limit', 'name'];
    for (const key of call.query.keys()) if (!allowed.includes(key)) this.world.violate(`query ${key} on ${path}`);
    const route = `${call.method} /${root}${id ? (verb ? `/x/${verb}` : '/x') : ''}`;
    switch (route) {
      case 'GET /me': return ok(token?.agent_id ? me : { id: null, role: me.role });
      case 'PUT /me/x': {
        need('agent');
        me.presence = jsonBody(call)['presence'] as Presence;
        this.world.event('agent', me);
        return ok(me);
      }
      case 'POST /events/x': {
        const ticket = randomUUID();
        this.tickets.set(ticket, me);
        return ok({ ticket });
      }
      case 'POST /uploads': return this.webchat.upload(call);
      case 'GET /agents': return ok(page(this.world.agents, call));
      case 'POST /agents': {
        need('admin');
        const agent = { presence: 'offline', load: 0, groups: [], active: true, id: randomUUID(), ...jsonBody(call) } as unknown as Agent;
        if (!agent.name) throw new Problem(422, 'invalid', 'name is empty');
        this.world.agents.push(agent);
        this.world.event('agent', agent);
        return { status: 201, json: agent };
      }
      case 'PATCH /agents/x': {
        need('admin');
        const agent = this.find(this.world.agents, id);
        Object.assign(agent, jsonBody(call));
        this.world.event('agent', agent);
        return ok(agent);
      }
      case 'GET /groups': return ok(page(this.world.groups, call));
      case 'POST /groups': {
        need('admin');
        const group = { id: randomUUID(), ...jsonBody(call) } as unknown as Group;
        this.world.groups.push(group);
        return { status: 201, json: group };
      }
      case 'PATCH /groups/x': {
        need('admin');
        return ok(Object.assign(this.find(this.world.groups, id), jsonBody(call)));
      }
      case 'POST /tokens': {
        need('admin');
        const body = jsonBody(call) as { agent_id: string; name: string };
        const made = { id: randomUUID(), created_at: new Date().toISOString(), expires_at: null, last_used_at: null, token: `pb_${randomUUID()}`, ...body };
        this.world.tokens.push(made);
        return { status: 201, json: made };
      }
      case 'GET /channels': return ok(page(this.world.channels, call));
      case 'POST /channels/x/pause':
      case 'POST /channels/x/resume': {
        need('supervisor');
        const channel = this.find(this.world.channels, id);
        Object.assign(channel, verb === 'pause' ? { state: 'paused', reason: jsonBody(call)['reason'] } : { state: 'running', reason: null });
        this.world.event('channel', { channel: channel.id });
        return { status: 204 };
      }
      case 'GET /dead': need('supervisor'); return ok(page(this.world.dead, call));
      case 'GET /dead/x': need('supervisor'); return ok(this.find(this.world.dead, id));
      case 'POST /dead/x/replay':
      case 'DELETE /dead/x':
        need('supervisor');
        this.find(this.world.dead, id);
        this.world.dead = this.world.dead.filter((letter) => letter.id !== id);
        return verb ? ok({ id: `${id}#replay-1` }) : { status: 204 };
      case 'GET /commands/x': return ok(this.world.commands.get(id ?? '') ?? { command_id: id, status: 'pending' });
      case 'GET /conversations': return ok(this.list(call, me));
    }
    if (root === 'tickets') return this.ticket(call, id, verb, me, need);
    if (root !== 'conversations') throw new Problem(404, 'not_found', route);
    const conversation = this.world.conversations.get(id ?? '');
    if (!conversation) throw new Problem(404, 'not_found');
    return this.conversation(call, route, conversation, me, need);
  }

  private ticket(call: Call, id: string | undefined, verb: string | undefined, me: Agent, need: (role: Role) => void): Reply {
    const { fleet } = this.world;
    if (!id) return ok(page(listTickets(fleet, call.query, me), call));
    const work = [...fleet.tickets.values()].find((each) => each.id === id || each.number === id);
    if (!work) throw new Problem(404, 'not_found');
    if (call.method === 'GET' && !verb) return ok({ ...fleet.show(work), last_state: structuredClone(fleet.devices.get(work.conversation_id) ?? null) });
    if (call.method === 'GET' && verb === 'history') return ok(historyOf(work, call));
    need('agent');
    return this.once(call, me, () => actOn(this.world, work, verb ?? '', jsonBody(call), me));
  }

  private conversation(call: Call, route: string, conversation: Stored, me: Agent, need: (role: Role) => void): Reply {
    if (route === 'GET /conversations/x') return ok(this.world.show(conversation));
    if (route === 'GET /conversations/x/messages') return ok(this.messages(call, conversation));
    need('agent');
    const body = jsonBody(call);
    switch (route) {
      case 'POST /conversations/x/reply': {
        const content = body['content'] as Part[];
        if (!Array.isArray(content) || content.length === 0) throw new Problem(422, 'invalid', 'content is empty');
        return this.once(call, me, () => {
          const message = this.world.reply(conversation, me, content);
          this.webchat.nudge();
          return message;
        });
      }
      case 'POST /conversations/x/note':
        return this.once(call, me, () =>
          this.world.addMessage(conversation, { kind: 'agent', id: me.id, name: me.name }, [{ type: 'text', text: String(body['text']) }], { kind: 'note' }),
        );
      case 'POST /conversations/x/assign': return this.assign(conversation, body, me);
      case 'POST /conversations/x/close': return this.become(conversation, { state: body['resolved'] ? 'resolved' : 'closed', waiting_since: null }, me);
      case 'POST /conversations/x/reopen': return this.become(conversation, { state: conversation.agent ? 'open' : 'waiting' }, me);
      case 'POST /conversations/x/snooze': {
        if (!(Date.parse(String(body['until'])) > Date.now())) throw new Problem(422, 'invalid', 'until must be in the future');
        return this.become(conversation, { state: 'snoozed', snoozed_until: String(body['until']) }, me);
      }
      case 'POST /conversations/x/typing':
        if (conversation.visitor) this.world.push(conversation.visitor, { type: 'typing', from: 'agent', name: me.name, on: body['on'] === true });
        return { status: 204 };
      case 'POST /conversations/x/read': {
        const visitor = conversation.visitor;
        const seq = Number(body['seq']);
        if (!Number.isInteger(seq)) throw new Problem(422, 'invalid', 'seq');
        if (visitor && seq > visitor.agentRead) {
          visitor.agentRead = seq;
          this.world.push(visitor, { type: 'seen', by: 'agent', read: seq });
        }
        if (conversation.unread) this.world.change(conversation, { unread: 0 });
        return { status: 204 };
      }
    }
    throw new Problem(404, 'not_found', route);
  }

  /** Idempotency: the same key and body give the same outcome; the same key with another body is a bug. */
  private once(call: Call, me: Agent, run: () => Outcome['message']): Reply {
    const key = String(call.headers['idempotency-key'] ?? '');
    if (!/^[\x21-\x7e]{1,64}$/.test(key)) {
      this.world.violate(`Idempotency-Key "${key}" on ${call.path}`);
      throw new Problem(400, 'idempotency_key_missing');
    }
    const hash = createHash('sha256').update(call.path).update(call.bytes).digest('hex');
    const before = this.answered.get(`${me.id} ${key}`);
    if (before) {
      if (before.hash === hash) return ok(before.outcome);
      this.world.violate('Idempotency-Key used for two bodies');
      throw new Problem(422, 'idempotency_key_reused');
    }
    const command_id = randomUUID();
    const outcome: Outcome = { command_id, status: 'pending', problem: null, message: null };
    this.answered.set(`${me.id} ${key}`, { hash, outcome });
    this.world.commands.set(command_id, outcome);
    const finish = (): void => {
      outcome.message = run() ?? null;
      outcome.status = 'done';
      this.world.event('command', { command_id, status: 'done', problem: null, message: outcome.message });
    };
    if (!this.slowCommands) {
      finish();
      return ok(outcome);
    }
    setTimeout(finish, 300);
    return { status: 202, json: { command_id, status: 'pending', problem: null } };
  }

  private become(conversation: Stored, fields: Partial<Conversation>, me: Agent): Reply {
    const same = conversation.state === fields.state;
    if (same) throw new Problem(409, 'bad_transition', `already ${conversation.state}`);
    this.world.change(conversation, fields);
    const what = ({ open: 'reopened', waiting: 'reopened' } as Record<string, string>)[fields.state ?? ''] ?? fields.state ?? '';
    const until = fields.snoozed_until ? ` until ${fields.snoozed_until}` : '';
    this.notice(conversation, what, `${what.charAt(0).toUpperCase()}${what.slice(1)}${until} by ${me.name}`, me);
    return ok({ command_id: randomUUID(), status: 'done', problem: null });
  }

  private assign(conversation: Stored, body: Record<string, unknown>, me: Agent): Reply {
    const agent = this.world.agents.find((each) => each.id === body['agent_id']);
    const group = this.world.groups.find((each) => each.id === body['group_id']);
    this.world.change(conversation, {
      agent: agent ? { id: agent.id, name: agent.name } : null,
      group: group ? { id: group.id, name: group.name } : conversation.group,
      state: agent ? 'open' : 'waiting',
      waiting_since: agent ? null : new Date().toISOString(),
    });
    const taken = agent?.id === me.id ? `Taken by ${me.name}` : `Assigned to ${agent?.name} by ${me.name}`;
    this.notice(conversation, agent ? 'assigned' : 'queued', agent ? taken : `Put into the queue by ${me.name}`, me);
    return ok({ command_id: randomUUID(), status: 'done', problem: null });
  }

  private notice(conversation: Stored, notice: string, text: string, me: Agent): void {
    this.world.addMessage(conversation, { kind: 'system', id: null, name: me.name }, [{ type: 'text', text, notice }], { kind: 'notice', direction: 'outbound' });
  }

  private list(call: Call, me: Agent): object {
    const query = call.query;
    const q = query.get('q')?.toLowerCase();
    const done = ['resolved', 'closed'];
    const matching = [...this.world.conversations.values()].filter((each) => {
      if (query.get('view') === 'mine' && (each.agent?.id !== me.id || done.includes(each.state))) return false;
      if (query.get('view') === 'waiting' && each.state !== 'waiting') return false;
      if (query.get('state') && each.state !== query.get('state')) return false;
      if (query.get('channel') && each.channel.id !== query.get('channel')) return false;
      if (query.get('group') && each.group?.id !== query.get('group')) return false;
      if (query.get('agent') && each.agent?.id !== query.get('agent')) return false;
      const text = `${each.contact.name} ${each.contact.address} ${each.last_message?.preview}`.toLowerCase();
      return !q || text.includes(q);
    });
    matching.sort((a, b) => b.updated_at.localeCompare(a.updated_at));
    return page(matching.map((each) => this.world.show(each)), call);
  }

  private messages(call: Call, conversation: Stored): object {
    const limit = Number(call.query.get('limit') ?? 50);
    const before = Number(call.query.get('before') ?? Infinity);
    const after = call.query.get('after');
    if (after !== null) {
      const items = conversation.messages.filter((message) => message.pos > Number(after));
      return { items: items.slice(0, limit), next: items.length > limit ? String(items[limit - 1]?.pos) : null };
    }
    const items = conversation.messages.filter((message) => message.pos < before).reverse();
    return { items: items.slice(0, limit), next: items.length > limit ? String(items[limit - 1]?.pos) : null };
  }

  private find<T extends { id: string }>(items: T[], id: string | undefined): T {
    const found = items.find((item) => item.id === id);
    if (!found) throw new Problem(404, 'not_found');
    return found;
  }
}

function ok(json: unknown): Reply {
  return { status: 200, json };
}

/** Cursors are opaque to clients; here they are an offset. */
function page<T>(items: T[], call: Call): object {
  const limit = Math.min(200, Number(call.query.get('limit') ?? 50));
  const start = Number((call.query.get('cursor') ?? 'c0').slice(1));
  const next = start + limit < items.length ? `c${start + limit}` : null;
  return { items: items.slice(start, start + limit), next };
}
