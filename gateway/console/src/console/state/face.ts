// What is open on the screen beyond the address: dialogs, the composer's mode, and a clock for waiting times.
import { signal } from '@preact/signals';
import type { Desk } from './desk';
import { desk } from './session';

export type Dialog = 'assign' | 'snooze' | 'help';

export const dialog = signal<Dialog | undefined>(undefined);

/** `asked` rises with every wish to write, so that the composer takes the focus again. */
export const composer = signal<{ mode: 'reply' | 'note'; asked: number }>({ mode: 'reply', asked: 0 });

export function write(mode: 'reply' | 'note'): void {
  composer.value = { mode, asked: composer.value.asked + 1 };
}

/** Moves on every half minute; whoever shows a waiting time reads it. */
export const clock = signal(Date.now());
setInterval(() => (clock.value = Date.now()), 30_000);

/** The desk of the signed-in agent; only components below the sign-in use it. */
export function theDesk(): Desk {
  if (!desk.value) throw new Error('used outside of the signed-in part');
  return desk.value;
}
