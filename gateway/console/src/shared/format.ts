// Times and sizes in the reader's language.

/** "12 kB": decimal units, as file managers show them. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** "14:05". */
export function formatTime(at: string | number, lang: string): string {
  return new Date(at).toLocaleTimeString(lang, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
}

/** "20 November", with the year only when it is another one. */
export function formatDay(at: string | number, lang: string, now = Date.now()): string {
  const day = new Date(at);
  const options: Intl.DateTimeFormatOptions = { day: 'numeric', month: 'long' };
  if (day.getFullYear() !== new Date(now).getFullYear()) options.year = 'numeric';
  return day.toLocaleDateString(lang, options);
}

/** Whether two moments fall on the same local day. */
export function sameDay(one: string | number, other: string | number): boolean {
  return new Date(one).toDateString() === new Date(other).toDateString();
}
