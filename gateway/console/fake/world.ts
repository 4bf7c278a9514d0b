// The fake server's memory: visitors, conversations, agents and the event log, with the rules the contracts state.
import { randomUUID } from 'node:crypto';
import type { WebSocket } from 'ws';
import type { MessageFrame, ServerFrame } from '../src/widget/frames';
import type { Part } from '../src/shared/wire';
import type { Agent, Channel, Conversation, DeadLetter, Delivery, Group, Message, Token } from '../src/console/api/types';
import { Fleet } from './fleet';

export interface Visitor {
  id: string;
  token: string;
  verified: boolean;
  name: string | null;
  seq: number;
  log: MessageFrame[];
  delivered: number;
  read: number;
  agentRead: number;
  sockets: Set<WebSocket>;
  /** client_id -> content, to tell a repeat from a reuse. */
  accepted: Map<string, string>;
  conversation?: string;
}

export interface Stored extends Conversation {
  messages: Message[];
  visitor?: Visitor;
}

export interface Event {
  seq: number;
  type: string;
  at: string;
  data: unknown;
}

type Sender = Message['from'];

export class World {
  visitors = new Map<string, Visitor>();
  conversations = new Map<string, Stored>();
  readonly fleet = new Fleet(this);
  agents: Agent[] = [];
  groups: Group[] = [];
  channels: Channel[] = [];
  dead: DeadLetter[] = [];
  tokens: (Token & { token: string })[] = [];
  uploads = new Map<string, { bytes: Buffer; mime: string }>();
  commands = new Map<string, unknown>();
  events: Event[] = [];
  /** Sockets of consoles, with the agent behind each. */
  consoles = new Map<WebSocket, Agent>();
  /** What a correct client never does; tests expect this to stay empty. */
  violations: string[] = [];
  private pos = 0;

  event(type: string, data: unknown): void {
    const event = { seq: this.events.length + 1, type, at: new Date().toISOString(), data };
    this.events.push(event);
    for (const socket of this.consoles.keys()) socket.send(JSON.stringify(event));
  }

  /** Lossy: no number, not kept. */
  whisper(type: string, data: unknown, except?: WebSocket): void {
    for (const socket of this.consoles.keys()) if (socket !== except) socket.send(JSON.stringify({ type, data }));
  }

  violate(what: string): void {
    this.violations.push(what);
  }

  newVisitor(verified = false, name: string | null = null, id = randomUUID() as string): Visitor {
    const visitor: Visitor = {
      id, verified, name, token: `vt_${randomUUID()}`, seq: 0, log: [], delivered: 0, read: 0, agentRead: 0,
      sockets: new Set(), accepted: new Map(),
    };
    this.visitors.set(id, visitor);
    return visitor;
  }

  push(visitor: Visitor, frame: ServerFrame): void {
    for (const socket of visitor.sockets) socket.send(JSON.stringify(frame));
  }

  conversationOf(visitor: Visitor): Stored {
    const known = visitor.conversation && this.conversations.get(visitor.conversation);
    if (known && known.state !== 'closed') return known;
    const name = visitor.name ?? `Visitor ${visitor.id.slice(0, 4)}`;
    const conversation = this.newConversation({ id: 'web', kind: 'webchat' }, { id: visitor.id, name, address: visitor.id, verified: visitor.verified, locale: 'en' });
    conversation.visitor = visitor;
    visitor.conversation = conversation.id;
    return conversation;
  }

  newConversation(channel: Conversation['channel'], contact: Conversation['contact']): Stored {
    const at = new Date().toISOString();
    const conversation: Stored = {
      id: randomUUID(), version: 1, state: 'waiting', channel, contact, group: null, agent: null, waiting_since: at, snoozed_until: null, position: null,
      created_at: at, updated_at: at, last_message: null, unread: 0, replying: [], messages: [],
    };
    this.conversations.set(conversation.id, conversation);
    this.renumber();
    return conversation;
  }

  fromVisitor(visitor: Visitor, clientId: string, content: Part[]): string {
    const conversation = this.conversationOf(visitor);
    if (conversation.state === 'resolved' || conversation.state === 'snoozed') this.change(conversation, { state: conversation.agent ? 'open' : 'waiting' });
    const message = this.addMessage(conversation, { kind: 'contact', id: conversation.contact.id, name: conversation.contact.name }, content, { kind: 'message', direction: 'inbound' });
    const frame: MessageFrame = {
      type: 'message', seq: message.seq ?? 0, id: message.id, from: 'visitor', client_id: clientId, content, at: message.at, conversation_id: conversation.id,
    };
    visitor.log.push(frame);
    this.push(visitor, frame);
    this.tellQueue(conversation);
    return message.id;
  }

  reply(conversation: Stored, agent: Agent, content: Part[]): Message {
    if (conversation.state === 'closed') conversation.state = 'open';
    if (!conversation.agent) this.change(conversation, { agent: { id: agent.id, name: agent.name }, state: 'open', waiting_since: null });
    const visitor = conversation.visitor;
    const delivery: Delivery = { state: visitor ? (visitor.sockets.size ? 'delivered' : 'sent') : 'queued', reason: null, attempts: 1 };
    const message = this.addMessage(conversation, { kind: 'agent', id: agent.id, name: agent.name }, content, { kind: 'message', direction: 'outbound', delivery });
    if (visitor) {
      const frame: MessageFrame = {
        type: 'message', seq: message.seq ?? 0, id: message.id, from: 'agent', name: agent.name, content, at: message.at, conversation_id: conversation.id,
      };
      visitor.log.push(frame);
      this.push(visitor, frame);
    }
    return message;
  }

  addMessage(conversation: Stored, from: Sender, content: Part[], more: Partial<Message> = {}): Message {
    const toVisitor = more.kind === 'message';
    const message: Message = {
      id: randomUUID(), pos: (this.pos += 1), seq: toVisitor && conversation.visitor ? (conversation.visitor.seq += 1) : null,
      kind: 'notice', direction: null, from, content, at: new Date().toISOString(), delivery: null, ...more,
    };
    conversation.messages.push(message);
    this.event('message', { conversation_id: conversation.id, message });
    const preview = String(content[0]?.text ?? content[0]?.name ?? '').slice(0, 120);
    this.change(conversation, {
      updated_at: message.at,
      ...(message.kind === 'message' ? { last_message: { preview, from: from.kind, at: message.at } } : {}),
      unread: from.kind === 'contact' ? conversation.unread + 1 : from.kind === 'agent' && message.kind === 'message' ? 0 : conversation.unread,
    });
    return message;
  }

  deliver(conversation: Stored, message: Message, delivery: Delivery): void {
    message.delivery = delivery;
    this.event('delivery', { conversation_id: conversation.id, message_id: message.id, delivery });
  }

  change(conversation: Stored, fields: Partial<Conversation>): void {
    Object.assign(conversation, fields, { version: conversation.version + 1 });
    if (fields.state === 'waiting') conversation.waiting_since ??= new Date().toISOString();
    this.renumber();
    this.event('conversation', this.show(conversation));
    if ('state' in fields || 'agent' in fields) this.tellQueue(conversation);
  }

  show(conversation: Stored): Conversation {
    const { messages: _messages, visitor: _visitor, ...shown } = conversation;
    return structuredClone(shown);
  }

  queueFrame(conversation: Stored): Extract<ServerFrame, { type: 'queue' }> {
    if (conversation.state === 'waiting') return { type: 'queue', state: 'waiting', position: conversation.position ?? 1 };
    if (conversation.state === 'closed' || conversation.state === 'resolved') return { type: 'queue', state: 'closed' };
    return { type: 'queue', state: 'assigned', agent: conversation.agent?.name ?? '' };
  }

  private tellQueue(conversation: Stored): void {
    if (conversation.visitor) this.push(conversation.visitor, this.queueFrame(conversation));
  }

  private renumber(): void {
    const waiting = [...this.conversations.values()].filter((each) => each.state === 'waiting');
    waiting.sort((a, b) => (a.waiting_since ?? '').localeCompare(b.waiting_since ?? ''));
    for (const each of this.conversations.values()) each.position = null;
    const lines = new Map<string, number>();
    for (const each of waiting) {
      const line = each.group?.id ?? '';
      each.position = (lines.get(line) ?? 0) + 1;
      lines.set(line, each.position);
    }
  }
}
