// The fake's devices: what they report, the tickets that come of it, and what is sent back to them.
import { randomUUID } from 'node:crypto';
import type { Part } from '../src/shared/wire';
import type { Agent, Delivery, DeviceState, Entry, EntryKind, Message, Severity, Ticket, TicketState } from '../src/console/api/types';
import type { Stored, World } from './world';

export interface Work extends Ticket {
  history: Entry[];
}

interface Fault {
  code: string;
  severity: Severity;
  text: string;
  readings?: Record<string, unknown>;
}

const CLOSED: TicketState[] = ['done', 'cancelled'];

export class Fleet {
  readonly tickets = new Map<string, Work>();
  /** By conversation. */
  readonly devices = new Map<string, DeviceState>();
  private count = 0;

  constructor(private readonly world: World) {}

  /** A device reports a fault: a ticket is opened, or the open one goes on. */
  raise(conversation: Stored, fault: Fault, at = new Date().toISOString()): Work {
    const open = this.of(conversation, fault.code);
    const work = open ?? this.begin(conversation, fault, at);
    const message = this.reported(conversation, fault, 'raised', at);
    const to = open?.state === 'pending_confirmation' ? (open.agent ? 'processing' : 'reopened') : open?.state;
    this.stand(conversation, fault, 'raised', work, at);
    this.change(work, { n_raised: work.n_raised + (open ? 1 : 0), raised_at: at, cleared_at: null, state: to ?? 'new' }, { kind: open ? 'raised' : 'opened', message, occurred_at: at, at });
    return work;
  }

  clear(conversation: Stored, code: string, at = new Date().toISOString()): void {
    const work = this.of(conversation, code)!;
    const fault = { code, severity: work.severity, text: '' };
    this.stand(conversation, fault, 'cleared', work, at);
    const state = work.settles_at ? work.state : 'pending_confirmation';
    this.change(work, { cleared_at: at, state }, { kind: 'cleared', message: this.reported(conversation, fault, 'cleared', at), occurred_at: at, at, data: { to: state } });
  }

  /** Readings come without an event. */
  measure(conversation: Stored, readings: Record<string, unknown>): void {
    const now = new Date().toISOString();
    const device = this.devices.get(conversation.id)!;
    Object.assign(device, { readings: { ...device.readings, ...readings }, readings_at: now, seen_at: now });
  }

  send(work: Work, agent: Agent, content: Part[]): Message {
    const conversation = this.world.conversations.get(work.conversation_id)!;
    const delivery: Delivery = { state: 'queued', reason: null, attempts: 0 };
    const message = this.world.addMessage(conversation, { kind: 'agent', id: agent.id, name: agent.name }, content, { kind: 'message', direction: 'outbound', delivery });
    this.change(work, {}, { kind: 'sent', message, agent });
    return message;
  }

  change(work: Work, fields: Partial<Ticket>, line: { kind: EntryKind; agent?: Agent; message?: Message; text?: string; occurred_at?: string; at?: string; data?: Entry['data'] }): void {
    const at = line.at ?? new Date().toISOString();
    const { agent, message } = line;
    work.history.push({
      pos: (work.last_pos += 1), kind: line.kind, agent: agent ? { id: agent.id, name: agent.name } : null, at, occurred_at: line.occurred_at ?? null,
      text: line.text ?? null, data: line.data ?? {}, message_id: message?.id ?? null, message: message ?? null,
    });
    const closed = CLOSED.includes(fields.state ?? work.state);
    Object.assign(work, fields, { version: work.version + 1, updated_at: at, closed_at: closed ? at : null });
    this.world.event('ticket', this.show(work));
  }

  show(work: Work): Ticket {
    const { history: _history, ...shown } = work;
    return structuredClone(shown);
  }

  private of(conversation: Stored, code: string): Work | undefined {
    return [...this.tickets.values()].find((each) => each.conversation_id === conversation.id && each.code === code && !CLOSED.includes(each.state));
  }

  private begin(conversation: Stored, { code, severity, text }: Fault, at: string): Work {
    this.count += 1;
    const work: Work = {
      id: randomUUID(), number: `T-${at.slice(0, 4)}-${String(this.count).padStart(6, '0')}`, version: 0, state: 'new', severity, category: null, title: text,
      channel: conversation.channel, device: conversation.contact.address, device_name: conversation.contact.name, code, conversation_id: conversation.id,
      group: conversation.group, agent: null, waiting_since: at, n_raised: 1, n_flaps: 0, settles_at: null, first_raised_at: at, raised_at: at, cleared_at: null,
      created_at: at, updated_at: at, closed_at: null, last_pos: 0, history: [],
    };
    this.tickets.set(work.id, work);
    return work;
  }

  private reported(conversation: Stored, { code, severity, text, readings }: Fault, state: 'raised' | 'cleared', at: string): Message {
    const part = { type: 'fault', device: conversation.contact.address, code, severity, state, occurred_at: at, ...(text ? { text } : {}), ...(readings ? { readings } : {}) };
    return {
      id: randomUUID(), pos: conversation.messages.length + 1, seq: null, kind: 'message', direction: 'inbound', from: { kind: 'contact', id: conversation.contact.address, name: conversation.contact.name },
      content: [part], at, delivery: null,
    };
  }

  private stand(conversation: Stored, { code, severity, readings }: Fault, state: 'raised' | 'cleared', work: Work, at: string): void {
    const device = this.devices.get(conversation.id) ?? { seen_at: at, silent_at: null, readings: {}, readings_at: null, location: null, faults: [] };
    const faults = [{ code, state, severity, at, ticket_id: work.id }, ...device.faults.filter((each) => each.code !== code)];
    faults.sort((a, b) => b.state.localeCompare(a.state));
    this.devices.set(conversation.id, { ...device, seen_at: at, faults, ...(readings ? { readings: { ...device.readings, ...readings }, readings_at: at } : {}) });
  }
}
