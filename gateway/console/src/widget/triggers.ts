// Opens the chat by itself: after a time, at a scroll depth, on some pages, or when the pointer leaves towards the tabs.
import type { Options } from './options';

const LOCATION_CHECK_MS = 1_000;

/** `*` stands for anything; the pattern is held against the whole address and against path and query. */
export function matchesUrl(pattern: string, address: string): boolean {
  const source = pattern.split('*').map((text) => text.replace(/[.+?^${}()|[\]\\]/g, '\\$&'));
  const whole = new RegExp(`^${source.join('.*')}$`);
  const url = new URL(address);
  return whole.test(address) || whole.test(url.pathname) || whole.test(url.pathname + url.search);
}

/** How far down the page is, 0 to 100. A page that fits the window is read to its end. */
export function scrollPercent(top: number, height: number, view: number): number {
  return height <= view ? 100 : (100 * top) / (height - view);
}

/** Calls `fire` when a trigger is met; returns how to stop watching. `fire` itself decides whether it is welcome. */
export function watchTriggers(options: Options, fire: () => void): () => void {
  const stops: (() => void)[] = [];
  const listen = (target: EventTarget, name: string, run: (event: Event) => void): void => {
    target.addEventListener(name, run, { passive: true });
    stops.push(() => target.removeEventListener(name, run));
  };
  if (options.openAfterMs !== undefined) {
    const timer = setTimeout(fire, options.openAfterMs);
    stops.push(() => clearTimeout(timer));
  }
  const depth = options.openScroll;
  if (depth !== undefined) {
    listen(window, 'scroll', () => {
      const page = document.documentElement;
      if (scrollPercent(scrollY, page.scrollHeight, innerHeight) >= depth) fire();
    });
  }
  if (options.openExit) {
    listen(document, 'mouseout', (event) => {
      const { relatedTarget, clientY } = event as MouseEvent;
      if (!relatedTarget && clientY <= 0) fire();
    });
  }
  const pattern = options.openUrl;
  if (pattern !== undefined) {
    // Pages that change their address by script tell nobody, so we look.
    let seen = '';
    const look = (): void => {
      if (location.href === seen) return;
      seen = location.href;
      if (matchesUrl(pattern, seen)) fire();
    };
    look();
    const timer = setInterval(look, LOCATION_CHECK_MS);
    stops.push(() => clearInterval(timer));
  }
  return () => stops.forEach((stop) => stop());
}
