// Words in the chosen language. Reading them inside a component subscribes it to the choice.
import { settings } from '../state/settings';
import { en, type Strings } from './en';
import { zh } from './zh';

export type Key = keyof Strings;

export function t(key: Key, values: Record<string, string | number> = {}): string {
  const text = (settings.value.lang === 'zh' ? zh : en)[key];
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

/** A word for a value that may be newer than this console; then the value itself. */
export function word(prefix: string, value: string): string {
  const key = `${prefix}${value}`;
  return key in en ? t(key as Key) : value;
}

/** BCP 47 tag for dates. */
export function lang(): string {
  return settings.value.lang === 'zh' ? 'zh-CN' : 'en-GB';
}

/** "14 min", "3 h", "2 d": how long ago something was. */
export function ago(at: string, now: number): string {
  const minutes = Math.floor((now - Date.parse(at)) / 60_000);
  if (minutes < 1) return t('now');
  if (minutes < 60) return t('minutes', { n: minutes });
  return minutes < 1440 ? t('hours', { n: Math.floor(minutes / 60) }) : t('days', { n: Math.floor(minutes / 1440) });
}
