// What the agent has chosen for this browser.
import { signal } from '@preact/signals';
import { keep, load } from './keep';

export interface Settings {
  lang: 'en' | 'zh';
  sound: boolean;
  titleBadge: boolean;
  details: boolean;
}

const defaults: Settings = {
  lang: /^zh/i.test(navigator.language) ? 'zh' : 'en',
  sound: true,
  titleBadge: true,
  details: true,
};

/** Narrower than this, details cover the messages, so they wait to be asked for. */
const NARROW_PX = 1240;

const kept = { ...defaults, ...load<Partial<Settings>>('settings') };

export const settings = signal<Settings>({ ...kept, details: kept.details && innerWidth > NARROW_PX });

export function choose(change: Partial<Settings>): void {
  settings.value = { ...settings.value, ...change };
  keep('settings', settings.value);
}
