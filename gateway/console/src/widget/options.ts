// What a page says on its script tag. Wrong values fall back to the default: a typo must not cost a shop its chat.

export interface Options {
  /** Origin of Patchbay, where the script came from. */
  server: string;
  channel: string;
  lang?: string;
  colour?: string;
  title?: string;
  position: 'left' | 'right';
  theme: 'auto' | 'light' | 'dark';
  greeting?: string;
  openAfterMs?: number;
  openScroll?: number;
  openUrl?: string;
  openExit: boolean;
}

/** Reads the options of the script element that runs right now. */
export function readOptions(script: HTMLScriptElement): Options {
  const data = script.dataset;
  const seconds = number(data['openAfter']);
  const scroll = number(data['openScroll']);
  return {
    server: new URL(script.src, location.href).origin,
    channel: data['channel'] || 'web',
    position: data['position'] === 'left' ? 'left' : 'right',
    theme: data['theme'] === 'light' || data['theme'] === 'dark' ? data['theme'] : 'auto',
    openExit: data['openExit'] !== undefined && data['openExit'] !== 'false',
    ...given('lang', data['lang']),
    ...given('colour', data['colour'] ?? data['color']),
    ...given('title', data['title']),
    ...given('greeting', data['greeting']),
    ...given('openUrl', data['openUrl']),
    ...given('openAfterMs', seconds === undefined ? undefined : seconds * 1000),
    ...given('openScroll', scroll),
  };
}

function given<K extends keyof Options>(key: K, value: Options[K] | undefined): Partial<Options> {
  return value === undefined || value === '' ? {} : { [key]: value };
}

function number(text: string | undefined): number | undefined {
  const value = Number(text);
  return text && Number.isFinite(value) && value >= 0 ? value : undefined;
}
