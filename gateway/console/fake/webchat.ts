// The fake's visitor side: docs/channels/webchat.md, checked strictly.
import { createHmac, randomUUID } from 'node:crypto';
import type { WebSocket } from 'ws';
import type { ClientFrame, ServerFrame } from '../src/widget/frames';
import { jsonBody, Problem, sniff, type Call, type Reply } from './http';
import type { Visitor, World } from './world';

/** Shared with the page's server in real life. */
export const IDENTITY_SECRET = 'fake-identity-secret';
const BYTES_MAX = 2_000_000;
const TYPES = ['image/*', 'application/pdf', 'text/plain'];
const PART_TYPES = ['text', 'image', 'file', 'audio', 'video', 'event'];

export interface WebchatSetup {
  heartbeatMs: number;
  /** Decides what happens to the next frames of visitors: refuse them, or say nothing. */
  onMessage?: ((clientId: string) => { code: string; retry: boolean; retry_after_ms?: number } | undefined) | undefined;
}

export class Webchat {
  private waiters = new Set<() => void>();

  constructor(
    private readonly world: World,
    readonly setup: WebchatSetup,
  ) {}

  async handle(call: Call, path: string): Promise<Reply> {
    if (call.method === 'POST' && path === '/visitor') return this.visitor(jsonBody(call));
    const visitor = this.whose(call.token);
    if (call.method === 'POST' && path === '/messages') {
      const frame = { ...jsonBody(call), type: 'message' } as ClientFrame;
      const result = this.frame(visitor, frame);
      if (result?.type === 'accepted') return { status: 202, json: { id: result.id, client_id: result.client_id } };
      if (result?.type === 'refused') throw new Problem(result.retry ? 503 : 400, result.code, result.detail, result.retry ? { 'Retry-After': '1' } : {});
    }
    if (call.method === 'GET' && path === '/messages') return this.poll(visitor, call);
    if (call.method === 'POST' && path === '/seen') {
      this.frame(visitor, { ...jsonBody(call), type: 'seen' } as ClientFrame);
      return { status: 204 };
    }
    if (call.method === 'POST' && path === '/uploads') return this.upload(call);
    throw new Problem(404, 'not_found');
  }

  upload(call: Call): Reply {
    if (call.bytes.length > BYTES_MAX) throw new Problem(413, 'too_large');
    const found = sniff(call.bytes);
    if (found.mime === 'application/octet-stream') throw new Problem(415, 'unsupported');
    const url = `/media/${randomUUID()}`;
    this.world.uploads.set(url, { bytes: call.bytes, mime: found.mime });
    return { status: 201, json: { url, name: call.query.get('name') ?? 'file', size: call.bytes.length, ...found } };
  }

  /** Joins a socket: what was missed in order, then `ready`. */
  join(socket: WebSocket, query: URLSearchParams): void {
    let visitor: Visitor;
    try {
      visitor = this.whose(query.get('token') ?? '');
    } catch {
      return socket.close(4401);
    }
    const after = Number(query.get('after'));
    if (!Number.isInteger(after) || after < 0) this.world.violate(`after=${query.get('after')}`);
    const say = (frame: ServerFrame): void => socket.send(JSON.stringify(frame));
    for (const message of visitor.log.filter((each) => each.seq > after)) say(message);
    const conversation = visitor.conversation ? this.world.conversations.get(visitor.conversation) : undefined;
    const { delivered, read, seq } = visitor;
    const queue = conversation ? { queue: this.world.queueFrame(conversation) } : {};
    say({ type: 'ready', visitor: visitor.id, seq, heartbeat_ms: this.setup.heartbeatMs, delivered, read, agent_read: visitor.agentRead, ...queue });
    visitor.sockets.add(socket);
    let pongs = true;
    const beat = setInterval(() => {
      if (!pongs) this.world.violate('no pong');
      pongs = false;
      say({ type: 'ping' });
    }, this.setup.heartbeatMs);
    socket.on('message', (data) => {
      let frame: ClientFrame;
      try {
        frame = JSON.parse(String(data)) as ClientFrame;
      } catch {
        return this.world.violate('frame is not JSON');
      }
      if (frame.type === 'pong') pongs = true;
      else if (frame.type === 'ping') say({ type: 'pong', seq: visitor.seq });
      else {
        const result = this.frame(visitor, frame);
        if (result && socket.readyState === 1) say(result);
      }
    });
    socket.on('close', () => {
      clearInterval(beat);
      visitor.sockets.delete(socket);
    });
  }

  /** Wakes long polls: something new may be there. */
  nudge(): void {
    for (const wake of this.waiters) wake();
  }

  private whose(token: string): Visitor {
    for (const visitor of this.world.visitors.values()) if (visitor.token === token) return visitor;
    throw new Problem(401, 'bad_token');
  }

  private visitor(body: Record<string, unknown>): Reply {
    let visitor = body['token'] === undefined ? undefined : this.whose(String(body['token']));
    const identity = body['identity'] as { user_id: string; expires_at: number; mac: string; name?: string } | undefined;
    if (identity) {
      const mac = createHmac('sha256', IDENTITY_SECRET).update(`${identity.user_id}\n${identity.expires_at}`).digest('hex');
      if (mac !== identity.mac) throw new Problem(403, 'bad_identity');
      const id = `user:${identity.user_id}`;
      visitor = this.world.visitors.get(id) ?? this.world.newVisitor(true, identity.name ?? null, id);
    }
    visitor ??= this.world.newVisitor();
    const expires = new Date(Date.now() + 30 * 86_400_000).toISOString();
    const uploads = { bytes_max: BYTES_MAX, types: TYPES };
    return { status: 200, json: { token: visitor.token, visitor: visitor.id, verified: visitor.verified, expires_at: expires, name: 'Northwind Cold', uploads } };
  }

  private frame(visitor: Visitor, frame: ClientFrame): ServerFrame | undefined {
    if (frame.type === 'message') return this.message(visitor, frame);
    if (frame.type === 'typing') {
      const conversation = visitor.conversation;
      if (conversation) this.world.whisper('typing', { conversation_id: conversation, from: 'contact', name: null, on: frame.on });
    } else if (frame.type === 'seen') {
      if ((frame.read ?? 0) > visitor.seq || (frame.delivered ?? 0) > visitor.seq) this.world.violate(`seen ${JSON.stringify(frame)} beyond ${visitor.seq}`);
      visitor.read = Math.max(visitor.read, frame.read ?? 0);
      visitor.delivered = Math.max(visitor.delivered, frame.delivered ?? 0, visitor.read);
      this.markSeen(visitor);
    } else {
      this.world.violate(`unknown frame ${JSON.stringify(frame)}`);
    }
    return undefined;
  }

  private markSeen(visitor: Visitor): void {
    const conversation = visitor.conversation ? this.world.conversations.get(visitor.conversation) : undefined;
    if (!conversation) return;
    for (const message of conversation.messages) {
      if (message.direction !== 'outbound' || message.seq === null) continue;
      const state = message.seq <= visitor.read ? 'read' : message.seq <= visitor.delivered ? 'delivered' : undefined;
      if (state && message.delivery?.state !== state) this.world.deliver(conversation, message, { state, reason: null, attempts: 1 });
    }
    this.world.event('seen', { conversation_id: conversation.id, delivered: visitor.delivered, read: visitor.read });
  }

  private message(visitor: Visitor, frame: Extract<ClientFrame, { type: 'message' }>): ServerFrame {
    const clientId = frame.client_id;
    const refuse = (code: string, detail: string): ServerFrame => {
      this.world.violate(detail);
      return { type: 'refused', client_id: clientId, code, detail, retry: false };
    };
    if (typeof clientId !== 'string' || clientId.length < 1 || clientId.length > 64) return refuse('bad_frame', 'client_id');
    if (!Array.isArray(frame.content) || frame.content.length === 0) return refuse('bad_frame', 'content');
    for (const part of frame.content) {
      if (!PART_TYPES.includes(part.type)) return refuse('unsupported', `part ${part.type}`);
      if (part.type === 'text' && !part.text?.trim()) return refuse('bad_frame', 'empty text');
      if (part.url && !this.world.uploads.has(part.url)) return refuse('forbidden', `url ${part.url} was never uploaded`);
    }
    const wanted = this.setup.onMessage?.(clientId);
    if (wanted) return { type: 'refused', client_id: clientId, detail: wanted.code, ...wanted };
    const content = JSON.stringify(frame.content);
    const before = visitor.accepted.get(clientId);
    if (before !== undefined && before !== content) return refuse('bad_frame', 'client_id used twice');
    if (before === undefined) {
      visitor.accepted.set(clientId, content);
      // As in real life, the message is durable (accepted) before the router has given it its number.
      setTimeout(() => {
        this.world.fromVisitor(visitor, clientId, frame.content);
        this.nudge();
      }, 20);
    }
    return { type: 'accepted', client_id: clientId, id: randomUUID() };
  }

  private async poll(visitor: Visitor, call: Call): Promise<Reply> {
    const after = Number(call.query.get('after'));
    const wait = Number(call.query.get('wait') ?? 0);
    if (wait > 30) this.world.violate(`wait=${wait}`);
    const until = Date.now() + wait * 1000;
    while (visitor.seq <= after && Date.now() < until) {
      await new Promise<void>((wake) => {
        const done = (): void => {
          clearTimeout(timer);
          this.waiters.delete(done);
          wake();
        };
        const timer = setTimeout(done, Math.min(250, until - Date.now()));
        this.waiters.add(done);
      });
    }
    return { status: 200, json: { frames: visitor.log.filter((each) => each.seq > after), seq: visitor.seq } };
  }
}
