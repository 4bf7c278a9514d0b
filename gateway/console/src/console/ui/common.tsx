// Pieces used on every page.
import { signal } from '@preact/signals';
import type { ComponentChildren, RefObject } from 'preact';
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import { lang, t, word } from '../strings';
import { Icon } from './icon';

/** A modal window. The browser's own element keeps the focus inside, closes on Escape and gives the focus back. */
export function Modal({ title, close, children }: { title: string; close: () => void; children: ComponentChildren }) {
  const element = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    const before = document.activeElement;
    element.current?.showModal();
    return () => {
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  // The browser tells of a closing later, when another dialog may be open already; so Escape is taken at once, and what an
  // element says that is gone is not heard.
  const cancel = (event: Event): void => {
    event.preventDefault();
    close();
  };
  return (
    <dialog ref={element} class="modal" aria-labelledby="modal-title" onCancel={cancel} onClose={(event) => event.currentTarget.isConnected && close()} onClick={(event) => event.target === element.current && close()}>
      <div class="modal-body">
        <header>
          <h2 id="modal-title">{title}</h2>
          <button type="button" class="icon-button" aria-label={t('close')} onClick={close}><Icon name="close" /></button>
        </header>
        {children}
      </div>
    </dialog>
  );
}

/** One colour per meaning; the word is always there too. */
export function Chip({ tone, children }: { tone: string; children: ComponentChildren }) {
  return <span class={`chip tone-${tone}`}>{children}</span>;
}

export function Severity({ severity }: { severity: string }) {
  return <Chip tone={severity}>{word('s_', severity)}</Chip>;
}

/** A moment in the reader's words. */
export function Moment({ at }: { at: string }) {
  return <time dateTime={at}>{new Date(at).toLocaleString(lang(), { dateStyle: 'medium', timeStyle: 'short' })}</time>;
}

/** One fact of a list of them. */
export function Line({ name, children }: { name: string; children: ComponentChildren }) {
  return <div><dt>{name}</dt><dd>{children}</dd></div>;
}

/** A text field that is as high as what is in it. */
export function useGrowing(text: string, input: RefObject<HTMLTextAreaElement | null> = useRef<HTMLTextAreaElement>(null)): RefObject<HTMLTextAreaElement | null> {
  useLayoutEffect(() => {
    const element = input.current;
    if (!element) return;
    element.style.height = 'auto';
    element.style.height = `${element.scrollHeight}px`;
  }, [text]);
  return input;
}

export function StateChip({ state }: { state: string }) {
  return <Chip tone={state}>{word('state_', state)}</Chip>;
}

/** Initials on a colour that stays the same for the same name. */
export function Avatar({ name, size = 36 }: { name: string; size?: number }) {
  const letters = /[一-龥]/.test(name) ? name.slice(-2) : name.split(/\s+/).map((part) => part[0] ?? '').slice(0, 2).join('').toUpperCase();
  let hash = 0;
  for (const letter of name) hash = (hash * 31 + letter.charCodeAt(0)) % 360;
  return (
    <span class="avatar" aria-hidden="true" data-size={size} ref={(element) => element?.style.setProperty('--hue', String(hash))}>
      {letters || '?'}
    </span>
  );
}

/** The page's live region: short sentences that a screen reader speaks, and that everybody sees for a while. */
export function Toast({ notice, done }: { notice: { text: string; bad: boolean } | undefined; done: () => void }) {
  useEffect(() => {
    if (!notice) return undefined;
    const timer = setTimeout(done, notice.bad ? 9_000 : 4_000);
    return () => clearTimeout(timer);
  }, [notice]);
  return (
    <div class="toasts" role="status">
      {notice && (
        <div class={notice.bad ? 'toast bad' : 'toast'}>
          {notice.bad && <Icon name="alert" />}
          <span>{notice.text}</span>
          <button type="button" class="icon-button" aria-label={t('close')} onClick={done}><Icon name="close" size={16} /></button>
        </div>
      )}
    </div>
  );
}

/** Something that takes a moment: the button stays, keeps the focus, and does not fire twice. */
export function Action({ run, kind = '', disabled = false, title, children }: { run: () => unknown; kind?: string; disabled?: boolean; title?: string; children: ComponentChildren }) {
  const busy = useRef(signal(false)).current;
  const click = async (): Promise<void> => {
    if (busy.value || disabled) return;
    busy.value = true;
    try {
      await run();
    } finally {
      busy.value = false;
    }
  };
  return (
    <button type="button" class={`button ${kind}`} aria-disabled={busy.value || disabled} title={title} onClick={() => void click()}>
      {children}
    </button>
  );
}
