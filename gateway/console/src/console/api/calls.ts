// The calls of docs/api.md that the console makes, by name.
import type { Upload } from '../../shared/wire';
import type { Http } from './http';
import type { Agent, Channel, Conversation, DeadLetter, Entry, Group, Message, Outcome, Page, Presence, Ticket, TicketDetail, TicketView, Token, View } from './types';

export interface Filters {
  state?: string;
  channel?: string;
  group?: string;
  agent?: string;
  q?: string;
}

export interface TicketFilters {
  state?: string;
  severity?: string;
  channel?: string;
  group?: string;
  agent?: string;
  q?: string;
}

export type AgentFields = Pick<Agent, 'name' | 'role' | 'capacity' | 'active'>;

export type Order = 'assign' | 'close' | 'reopen' | 'snooze';
export type TicketOrder = 'assign' | 'confirm' | 'cancel' | 'reopen' | 'edit';

export class Calls {
  constructor(readonly http: Http) {}

  presence = (presence: Presence): Promise<Agent> => this.http.call('PUT', '/me/presence', { body: { presence } });

  conversations = (view: View, filters: Filters, cursor?: string, limit = 50): Promise<Page<Conversation>> =>
    this.http.get('/conversations', { view, ...filters, cursor, limit });
  conversation = (id: string): Promise<Conversation> => this.http.get(`/conversations/${id}`);
  messages = (id: string, before?: number): Promise<Page<Message>> => this.http.get(`/conversations/${id}/messages`, { before });

  /** What changes something for good: `path` is of a conversation's or ticket's act. */
  command = (path: string, body: object, key: string): Promise<Outcome> => this.http.post(path, body, { key });
  outcome = (commandId: string): Promise<Outcome> => this.http.get(`/commands/${commandId}`);
  typing = (id: string, on: boolean): Promise<void> => this.http.post(`/conversations/${id}/typing`, { on });
  read = (id: string, seq: number): Promise<void> => this.http.post(`/conversations/${id}/read`, { seq });
  upload = (file: File): Promise<Upload> => this.http.call('POST', '/uploads', { file, query: { name: file.name } });

  tickets = (view: TicketView, filters: TicketFilters, cursor?: string, limit = 50): Promise<Page<Ticket>> =>
    this.http.get('/tickets', { view, ...filters, cursor, limit });
  ticketDetail = (id: string): Promise<TicketDetail> => this.http.get(`/tickets/${encodeURIComponent(id)}`);
  ticketHistory = (id: string, after: number, limit: number): Promise<Page<Entry>> => this.http.get(`/tickets/${id}/history`, { after, limit });

  agents = (cursor?: string): Promise<Page<Agent>> => this.http.get('/agents', { cursor, limit: 200 });
  addAgent = (fields: AgentFields): Promise<Agent> => this.http.post('/agents', fields);
  changeAgent = (id: string, fields: Partial<AgentFields>): Promise<Agent> =>
    this.http.call('PATCH', `/agents/${id}`, { body: fields });
  groups = (cursor?: string): Promise<Page<Group>> => this.http.get('/groups', { cursor, limit: 200 });
  addGroup = (fields: Omit<Group, 'id'>): Promise<Group> => this.http.post('/groups', fields);
  changeGroup = (id: string, fields: Partial<Omit<Group, 'id'>>): Promise<Group> => this.http.call('PATCH', `/groups/${id}`, { body: fields });
  addToken = (agentId: string, name: string): Promise<Token & { token: string }> => this.http.post('/tokens', { agent_id: agentId, name });

  channels = (cursor?: string): Promise<Page<Channel>> => this.http.get('/channels', { cursor, limit: 200 });
  pause = (id: string, reason: string): Promise<void> => this.http.post(`/channels/${id}/pause`, { reason });
  resume = (id: string): Promise<void> => this.http.post(`/channels/${id}/resume`);

  dead = (cursor?: string): Promise<Page<DeadLetter>> => this.http.get('/dead', { cursor });
  deadLetter = (id: string): Promise<DeadLetter> => this.http.get(`/dead/${encodeURIComponent(id)}`);
  replay = (id: string): Promise<{ id: string }> => this.http.post(`/dead/${encodeURIComponent(id)}/replay`);
  drop = (id: string): Promise<void> => this.http.call('DELETE', `/dead/${encodeURIComponent(id)}`);

  ticket = (): Promise<{ ticket: string }> => this.http.post('/events/ticket');
}

/** All pages of a short list (agents, groups, channels); bounded, so that a wrong cursor cannot run for ever. */
export async function everything<T>(load: (cursor?: string) => Promise<Page<T>>, pagesMax = 20): Promise<T[]> {
  const items: T[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < pagesMax; page++) {
    const answer = await load(cursor);
    items.push(...answer.items);
    if (!answer.next) break;
    cursor = answer.next;
  }
  return items;
}
