// The frames of the web chat protocol (docs/channels/webchat.md).
import type { Part } from '../shared/wire';

export interface MessageFrame {
  type: 'message';
  seq: number;
  id: string;
  from: 'visitor' | 'agent' | 'system';
  name?: string;
  client_id?: string;
  content: Part[];
  at: string;
  conversation_id: string;
}

export interface QueueFrame {
  type: 'queue';
  state: 'waiting' | 'assigned' | 'closed';
  position?: number;
  agent?: string;
}

export interface ReadyFrame {
  type: 'ready';
  visitor: string;
  seq: number;
  heartbeat_ms: number;
  queue?: Omit<QueueFrame, 'type'>;
  delivered: number;
  read: number;
  agent_read?: number;
}

export interface RefusedFrame {
  type: 'refused';
  client_id?: string;
  code: string;
  detail: string;
  retry: boolean;
  retry_after_ms?: number;
}

export type ServerFrame =
  | MessageFrame
  | ReadyFrame
  | RefusedFrame
  | ({ type: 'queue' } & QueueFrame)
  | { type: 'accepted'; client_id: string; id: string }
  | { type: 'typing'; from: string; name?: string; on: boolean }
  | { type: 'seen'; by: string; read: number }
  | { type: 'ping' }
  | { type: 'pong'; seq: number }
  | { type: 'bye'; reason: string; reconnect_ms?: number };

export type ClientFrame =
  | { type: 'message'; client_id: string; content: Part[]; sent_at?: string }
  | { type: 'seen'; delivered?: number; read?: number }
  | { type: 'typing'; on: boolean }
  | { type: 'ping'; at?: number }
  | { type: 'pong' };

/** Who signs a visitor in: computed by the shop's own server, never in the page. */
export interface Identity {
  user_id: string;
  expires_at: number;
  mac: string;
  name?: string;
}
