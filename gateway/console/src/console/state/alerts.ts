// Tells an agent who looks elsewhere: a short sound, and a number in the title. Both can be switched off.
import { effect, type ReadonlySignal } from '@preact/signals';
import { settings } from './settings';

const GAP_MS = 1_500;
const NAME = 'Patchbay';

let context: AudioContext | undefined;
let last = 0;

/** Two soft notes; not more often than a person can tell apart. */
export function chime(): void {
  if (!settings.value.sound || Date.now() - last < GAP_MS) return;
  last = Date.now();
  try {
    context ??= new AudioContext();
    // Browsers keep audio asleep until the page was touched once.
    void context.resume();
    [660, 880].forEach((frequency, index) => note(context!, frequency, index * 0.13));
  } catch {
    // No sound device.
  }
}

function note(audio: AudioContext, frequency: number, delay: number): void {
  const tone = audio.createOscillator();
  const volume = audio.createGain();
  const start = audio.currentTime + delay;
  tone.frequency.value = frequency;
  volume.gain.setValueAtTime(0.0001, start);
  volume.gain.exponentialRampToValueAtTime(0.12, start + 0.02);
  volume.gain.exponentialRampToValueAtTime(0.0001, start + 0.28);
  tone.connect(volume).connect(audio.destination);
  tone.start(start);
  tone.stop(start + 0.3);
}

/** Keeps "(3) Patchbay" up to date; returns how to stop. */
export function showInTitle(unread: ReadonlySignal<number>): () => void {
  const stop = effect(() => {
    document.title = settings.value.titleBadge && unread.value > 0 ? `(${unread.value}) ${NAME}` : NAME;
  });
  return () => {
    stop();
    document.title = NAME;
  };
}
