// Who is signed in. The token stays in sessionStorage, so that closing the tab signs out, unless the agent wants it kept.
import { signal } from '@preact/signals';
import { Http } from '../api/http';
import type { Agent } from '../api/types';
import { word } from '../strings';
import { Desk } from './desk';
import { keep, load } from './keep';

const TAB = (): Storage => sessionStorage;

export const desk = signal<Desk | undefined>(undefined);
/** `starting` while a kept token is being tried. */
export const phase = signal<'starting' | 'out' | 'in'>('starting');

function enter(me: Agent, http: Http): void {
  const mine = new Desk(me, http);
  desk.value = mine;
  phase.value = 'in';
  mine.start();
}

/** An operator's token speaks for no agent and has only a role; the rest is filled in. */
function whole(me: Partial<Agent> & Pick<Agent, 'role'>): Agent {
  return { ...me, id: me.id ?? '', name: me.name ?? word('role_', me.role), presence: me.presence ?? 'offline', capacity: me.capacity ?? 0, load: me.load ?? 0, active: me.active ?? true, groups: me.groups ?? [] };
}

/** Throws an ApiError when the token is not good or the server does not answer. */
export async function signIn(token: string, remember: boolean): Promise<void> {
  const http = new Http('/api/v1', () => token, signOut);
  const me = whole(await http.get<Partial<Agent> & Pick<Agent, 'role'>>('/me'));
  keep('token', token, TAB);
  keep('token', remember ? token : undefined);
  enter(me, http);
}

export function signOut(): void {
  desk.value?.stop();
  desk.value = undefined;
  phase.value = 'out';
  keep('token', undefined, TAB);
  keep('token', undefined);
}

/** Goes on with a kept token. A server that does not answer is no reason to forget it. */
export async function resume(): Promise<void> {
  const remembered = load<string>('token');
  const token = load<string>('token', TAB) ?? remembered;
  if (!token) {
    phase.value = 'out';
    return;
  }
  try {
    await signIn(token, remembered !== undefined);
  } catch {
    phase.value = 'out';
  }
}

export function keptToken(): string {
  return load<string>('token', TAB) ?? load<string>('token') ?? '';
}
