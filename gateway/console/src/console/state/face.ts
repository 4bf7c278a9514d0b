// What is open on the screen beyond the address: dialogs, the composer's mode, and a clock for waiting times.
import { signal } from '@preact/signals';
import type { RefObject } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';
import type { Desk } from './desk';
import { desk } from './session';

export type Dialog = 'assign' | 'snooze' | 'edit' | 'cancel' | 'help';
/** What is being written: words, an order to a device, or a note for the team. */
export type Mode = 'reply' | 'command' | 'note';

export const dialog = signal<Dialog | undefined>(undefined);

/** `asked` rises with every wish to write, so that the composer takes the focus again. */
export const composer = signal<{ mode: Mode; asked: number }>({ mode: 'reply', asked: 0 });
/** The last wish to write that was met. */
let answered = 0;

export function write(mode: Mode): void {
  composer.value = { mode, asked: composer.value.asked + 1 };
}

/**
 * The field that takes the focus when somebody wishes to write: before the next key press, or its letter would be taken for a
 * shortcut. Merely opening something asks for nothing and leaves the focus in the list.
 */
export function useAsked<E extends HTMLElement>(): RefObject<E | null> {
  const input = useRef<E>(null);
  const { asked } = composer.value;
  useLayoutEffect(() => {
    if (answered !== asked) input.current?.focus();
    answered = asked;
  }, [asked]);
  return input;
}

/** Moves on every half minute; whoever shows a waiting time reads it. */
export const clock = signal(Date.now());
setInterval(() => (clock.value = Date.now()), 30_000);

/** The desk of the signed-in agent; only components below the sign-in use it. */
export function theDesk(): Desk {
  if (!desk.value) throw new Error('used outside of the signed-in part');
  return desk.value;
}
