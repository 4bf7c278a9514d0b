// What the agent has written and the server has not yet confirmed. Each send has one Idempotency-Key for all its attempts,
// so that a lost answer, a reload or a restart of the server never makes a customer read the same reply twice.
import { backoff } from '../../shared/backoff';
import { randomId } from '../../shared/id';
import type { Part } from '../../shared/wire';
import { ApiError } from '../api/http';
import type { Message, Outcome } from '../api/types';

const RETRY = { min: 1_000, max: 30_000 };
/** How often the outcome of a 202 is asked for, in case its event got lost. */
const ASK_MS = 2_000;
/** Unconfirmed sends kept at most. */
export const SENDS_MAX = 50;

export interface Send {
  key: string;
  conversation: string;
  /** Said on this ticket of the conversation. */
  ticket?: string;
  kind: 'reply' | 'note';
  content: Part[];
  /** Seconds until it is not to be sent any more. */
  expires_in?: number;
  at: number;
  state: 'sending' | 'waiting' | 'failed';
  /** The server's sentence, when it refused. */
  problem?: string;
  /** Given by a 202: the command is durable, its outcome is awaited. */
  command?: string;
}

export interface SenderHost {
  send(send: Send): Promise<Outcome>;
  outcome(commandId: string): Promise<Outcome>;
  /** Survives a reload. */
  save(sends: Send[]): void;
  changed(sends: Send[]): void;
  done(send: Send, message: Message | null): void;
}

export class Sender {
  private sends: Send[];
  private readonly busy = new Set<string>();
  private readonly timers = new Map<string, ReturnType<typeof setTimeout>>();
  private attempts = new Map<string, number>();
  private stopped = false;

  constructor(private readonly host: SenderHost, kept: Send[] = []) {
    this.sends = kept.map((send) => (send.state === 'failed' ? send : { ...send, state: 'sending' }));
  }

  /** Goes on with what an earlier page load left. */
  start(): void {
    this.host.changed(this.sends);
    for (const conversation of new Set(this.sends.map((send) => send.conversation))) void this.pump(conversation);
  }

  stop(): void {
    this.stopped = true;
    for (const timer of this.timers.values()) clearTimeout(timer);
  }

  /** False when too much is unconfirmed already. */
  add(conversation: string, kind: Send['kind'], content: Part[], more: Pick<Send, 'ticket' | 'expires_in'> = {}): boolean {
    if (this.sends.length >= SENDS_MAX) return false;
    this.update([...this.sends, { key: randomId(), conversation, kind, content, ...more, at: Date.now(), state: 'sending' }]);
    void this.pump(conversation);
    return true;
  }

  /** A refused send is a new one when it is tried again: under the old key the server would only repeat its refusal. */
  retry(key: string): void {
    const send = this.sends.find((each) => each.key === key);
    if (send?.state !== 'failed') return;
    this.remove(key);
    const { ticket, expires_in } = send;
    this.add(send.conversation, send.kind, send.content, { ...(ticket ? { ticket } : {}), ...(expires_in ? { expires_in } : {}) });
  }

  remove(key: string): void {
    this.update(this.sends.filter((each) => each.key !== key));
  }

  /** The network is back, or the agent does not want to wait. */
  wake(): void {
    for (const [conversation, timer] of this.timers) {
      clearTimeout(timer);
      void this.pump(conversation);
    }
  }

  /** A live `command` event. */
  settle(outcome: Outcome): void {
    const send = this.sends.find((each) => each.command === outcome.command_id);
    if (send && outcome.status !== 'pending') this.finish(send, outcome);
  }

  /** One at a time per conversation: what was written first arrives first. */
  private async pump(conversation: string): Promise<void> {
    const send = this.sends.find((each) => each.conversation === conversation && each.state !== 'failed');
    if (!send || this.stopped || this.busy.has(conversation)) return;
    this.busy.add(conversation);
    this.timers.delete(conversation);
    let wait: number | undefined;
    try {
      const outcome = send.command ? await this.host.outcome(send.command) : await this.host.send(send);
      this.attempts.delete(send.key);
      if (outcome.status === 'pending') {
        this.change(send.key, { command: outcome.command_id, state: 'sending' });
        wait = ASK_MS;
      } else {
        this.finish(send, outcome);
      }
    } catch (error) {
      wait = this.failed(send, error);
    }
    this.busy.delete(conversation);
    if (this.stopped) return;
    if (wait === undefined) void this.pump(conversation);
    else this.timers.set(conversation, setTimeout(() => void this.pump(conversation), wait));
  }

  /** How long to wait before the next attempt; undefined = not again. */
  private failed(send: Send, error: unknown): number | undefined {
    const problem = error instanceof ApiError ? error : new ApiError(0, 'error', String(error));
    // Signed out: kept as it is, and sent after the next sign-in.
    if (problem.retry || problem.status === 401) {
      const attempt = this.attempts.get(send.key) ?? 0;
      this.attempts.set(send.key, attempt + 1);
      this.change(send.key, { state: 'waiting' });
      return problem.retryAfterMs ?? backoff(attempt, RETRY);
    }
    this.change(send.key, { state: 'failed', problem: problem.message });
    return undefined;
  }

  private finish(send: Send, outcome: Outcome): void {
    if (!this.sends.some((each) => each.key === send.key)) return;
    if (outcome.status === 'failed') {
      this.change(send.key, { state: 'failed', problem: outcome.problem?.detail ?? outcome.problem?.title ?? '' });
    } else {
      this.remove(send.key);
      this.host.done(send, outcome.message ?? null);
    }
  }

  private change(key: string, fields: Partial<Send>): void {
    this.update(this.sends.map((each) => (each.key === key ? { ...each, ...fields } : each)));
  }

  private update(sends: Send[]): void {
    this.sends = sends;
    this.host.save(sends);
    this.host.changed(sends);
  }
}
