// The shapes of docs/api.md.
import type { Part } from '../../shared/wire';

export type Role = 'admin' | 'supervisor' | 'agent' | 'auditor';
export type Presence = 'online' | 'away' | 'offline';
export type State = 'new' | 'waiting' | 'open' | 'pending' | 'snoozed' | 'resolved' | 'closed';
export type View = 'mine' | 'waiting' | 'all';

export type TicketState = 'new' | 'processing' | 'pending_confirmation' | 'done' | 'cancelled' | 'reopened';
export type TicketView = 'mine' | 'waiting' | 'open' | 'closed';
export type Severity = 'critical' | 'major' | 'minor' | 'warning';

export interface Named {
  id: string;
  name: string;
}

/** A token may speak for no agent: then `id` is empty, and there is no presence and nothing of one's own. */
export interface Agent extends Named {
  role: Role;
  capacity: number;
  load: number;
  presence: Presence;
  active: boolean;
  groups: Named[];
}

export interface Group extends Named {
  strategy: 'round_robin' | 'least_loaded';
  members: string[];
  channels: string[];
}

export interface Contact {
  id: string;
  name: string | null;
  address: string;
  verified: boolean;
  locale: string | null;
}

export interface Conversation {
  id: string;
  version: number;
  state: State;
  channel: { id: string; kind: string };
  contact: Contact;
  group: Named | null;
  agent: Named | null;
  waiting_since: string | null;
  snoozed_until: string | null;
  position: number | null;
  created_at: string;
  updated_at: string;
  last_message: { preview: string; from: string; at: string } | null;
  unread: number;
  replying: Named[];
}

export type DeliveryState = 'queued' | 'accepted' | 'sent' | 'delivered' | 'read' | 'failed' | 'expired' | 'unknown';

export interface Delivery {
  state: DeliveryState;
  reason: string | null;
  attempts: number;
}

export interface Message {
  id: string;
  pos: number;
  seq: number | null;
  kind: 'message' | 'note' | 'notice';
  direction: 'inbound' | 'outbound' | null;
  from: { kind: 'contact' | 'agent' | 'system'; id: string | null; name: string | null };
  content: Part[];
  at: string;
  delivery: Delivery | null;
}

export interface Ticket {
  id: string;
  /** For people: T-2026-000123. */
  number: string;
  version: number;
  state: TicketState;
  severity: Severity;
  category: string | null;
  title: string;
  channel: { id: string; kind: string };
  device: string;
  device_name: string | null;
  code: string;
  conversation_id: string;
  group: Named | null;
  agent: Named | null;
  waiting_since: string | null;
  n_raised: number;
  n_flaps: number;
  /** It flaps: a clear counts only once it has been quiet until then. */
  settles_at: string | null;
  first_raised_at: string;
  raised_at: string;
  cleared_at: string | null;
  created_at: string;
  updated_at: string;
  closed_at: string | null;
  last_pos: number;
}

export interface FaultNow {
  code: string;
  state: 'raised' | 'cleared';
  severity: Severity;
  at: string;
  ticket_id: string | null;
}

export interface DeviceState {
  seen_at: string;
  silent_at: string | null;
  readings: Record<string, unknown>;
  readings_at: string | null;
  location: { lat: number; lon: number; label?: string } | null;
  faults: FaultNow[];
}

export type TicketDetail = Ticket & { last_state: DeviceState | null };

export type EntryKind =
  | 'opened' | 'raised' | 'cleared' | 'flapping' | 'settled' | 'assigned' | 'queued' | 'note' | 'sent' | 'edited' | 'done' | 'cancelled' | 'reopened';

/** One line of a ticket's history. */
export interface Entry {
  pos: number;
  kind: EntryKind;
  agent: Named | null;
  at: string;
  occurred_at: string | null;
  text: string | null;
  data: Record<string, unknown> | null;
  message_id: string | null;
  message: Message | null;
}

export interface Outcome {
  command_id: string;
  status: 'done' | 'failed' | 'pending';
  problem?: ProblemBody | null;
  message?: Message | null;
}

export interface Channel {
  id: string;
  kind: string;
  state: 'running' | 'paused' | 'failing';
  reason: string | null;
  backlog: number;
  last_error: { at: string | null; detail: string } | null;
}

export interface DeadLetter {
  id: string;
  channel: { id: string; kind: string } | null;
  conversation_id: string | null;
  direction: 'inbound' | 'outbound' | null;
  reason: string;
  detail: string | null;
  attempts: number;
  at: string;
  preview: string | null;
  envelope?: unknown;
  exchange?: unknown;
}

export interface Token {
  id: string;
  agent_id: string;
  name: string;
  created_at: string;
  expires_at: string | null;
  last_used_at: string | null;
}

export interface Page<T> {
  items: T[];
  next: string | null;
}

/** RFC 9457. */
export interface ProblemBody {
  type?: string;
  title?: string;
  status?: number;
  detail?: string;
  code?: string;
}

export type LiveEvent =
  | { seq: number; type: 'conversation'; at: string; data: Conversation }
  | { seq: number; type: 'message'; at: string; data: { conversation_id: string; message: Message } }
  | { seq: number; type: 'delivery'; at: string; data: { conversation_id: string; message_id: string; delivery: Delivery } }
  | { seq: number; type: 'seen'; at: string; data: { conversation_id: string; delivered: number; read: number } }
  | { seq: number; type: 'ticket'; at: string; data: Ticket }
  | { seq: number; type: 'agent'; at: string; data: Agent }
  | { seq: number; type: 'command'; at: string; data: Outcome }
  /** Some channel has changed; which fields it names is not promised, so the list is loaded anew. */
  | { seq: number; type: 'channel'; at: string; data: unknown }
  | { seq?: undefined; type: 'typing'; data: { conversation_id: string; from: string; name: string | null; on: boolean } }
  | { seq?: undefined; type: 'replying'; data: { conversation_id: string; agent: Named; on: boolean } };

export type LiveFrame = LiveEvent | { type: 'ping' } | { type: 'ready'; seq: number; reset?: boolean };
