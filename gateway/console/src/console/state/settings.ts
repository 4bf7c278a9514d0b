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

export const settings = signal<Settings>({ ...defaults, ...load<Partial<Settings>>('settings') });

export function choose(change: Partial<Settings>): void {
  settings.value = { ...settings.value, ...change };
  keep('settings', settings.value);
}
