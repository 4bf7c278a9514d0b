// What was said, oldest first: stays at the end while more comes, and at the same line while older ones are put above it.
import type { ComponentChildren } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { formatDay, sameDay } from '../../shared/format';
import { lang, t } from '../strings';

const NEAR_END_PX = 120;

interface Lines {
  label: string;
  loading: boolean;
  /** Loads what is older, if there is more. */
  older: (() => void) | undefined;
  /** Names the oldest line here. */
  oldest: string | undefined;
  /** Changes with every line that comes. */
  newest: readonly unknown[];
  children: ComponentChildren;
}

export function Log({ label, loading, older, oldest, newest, children }: Lines) {
  const log = useRef<HTMLDivElement>(null);
  const [following, setFollowing] = useState(true);
  const height = useRef(0);

  useLayoutEffect(() => {
    const element = log.current;
    if (element && following) element.scrollTop = element.scrollHeight;
  }, [...newest, following]);
  useLayoutEffect(() => {
    const element = log.current;
    if (element && !following) element.scrollTop += element.scrollHeight - height.current;
  }, [oldest]);
  useEffect(() => {
    const element = log.current;
    if (!element) return undefined;
    // Pictures that arrive and a composer that grows move the end away.
    const observer = new ResizeObserver(() => {
      if (following) element.scrollTop = element.scrollHeight;
    });
    observer.observe(element);
    if (element.firstElementChild) observer.observe(element.firstElementChild);
    return () => observer.disconnect();
  }, [following]);

  const scrolled = (element: HTMLElement): void => {
    height.current = element.scrollHeight;
    setFollowing(element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_END_PX);
  };
  return (
    <div class="log" role="log" aria-label={label} aria-live="polite" aria-busy={loading} tabIndex={0} ref={log} onScroll={(event) => scrolled(event.currentTarget)}>
      <div class="messages">
        {loading && <p class="notice">{t('loading')}</p>}
        {older && !loading && <button type="button" class="button plain older" onClick={older}>{t('older')}</button>}
        {children}
      </div>
    </div>
  );
}

/** The day's name above its first line. */
export function Day({ at, before }: { at: string; before: string | undefined }) {
  if (before && sameDay(before, at)) return null;
  const now = Date.now();
  const name = sameDay(at, now) ? t('today') : sameDay(at, now - 86_400_000) ? t('yesterday') : formatDay(at, lang());
  return <p class="day">{name}</p>;
}
