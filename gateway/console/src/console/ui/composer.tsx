// Where the agent writes: words to the contact, an order to a device, or a note for the team; with files, and a draft each.
import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { uploadPart, type Part } from '../../shared/wire';
import { randomId } from '../../shared/id';
import { composer, theDesk, useAsked, write, type Mode } from '../state/face';
import { explain } from '../state/paged';
import type { Send } from '../state/sender';
import { t } from '../strings';
import { CommandField } from './command-field';
import { useGrowing } from './common';
import { Icon, type IconName } from './icon';

const SIGNAL_REPEAT_MS = 3_000;
const SIGNAL_IDLE_MS = 5_000;
const TEXT_MAX = 20_000;
const FILES_MAX = 9;

/** What is written to: a conversation, or a ticket of one. */
export interface Target {
  /** Drafts are kept under it. */
  id: string;
  conversation: string;
  ticket?: string;
  name: string;
  modes: readonly Mode[];
  /** There is somebody who sees that we type, and takes files. */
  contact: boolean;
}

const FACES: Record<Mode, [IconName, 'reply' | 'command' | 'note']> = { reply: ['reply', 'reply'], command: ['device', 'command'], note: ['note', 'note'] };

interface Attached {
  id: string;
  name: string;
  part?: Part;
}

export function Composer({ target, children }: { target: Target; children: (mode: Mode) => ComponentChildren }) {
  const desk = theDesk();
  if (!desk.may('agent')) return <p class="composer-hint">{t('readOnly')}</p>;
  const mode = target.modes.includes(composer.value.mode) ? composer.value.mode : 'reply';
  const send = (kind: Send['kind'], content: Part[], expires_in?: number): boolean => {
    const more = { ...(target.ticket ? { ticket: target.ticket } : {}), ...(expires_in ? { expires_in } : {}) };
    const taken = desk.sender.add(target.conversation, kind, content, more);
    if (!taken) desk.say(t('tooMany'), true);
    return taken;
  };
  return (
    <div class={`composer ${mode}`}>
      {children(mode)}
      <div class="modes">
        {target.modes.map((each) => (
          <button type="button" class="mode" aria-pressed={mode === each} onClick={() => write(each)}><Icon name={FACES[each][0]} size={15} />{t(FACES[each][1])}</button>
        ))}
        {mode === 'note' && <span class="hint">{t('noteHint')}</span>}
      </div>
      {mode === 'command' ? <CommandField target={target} send={send} /> : <Field key={mode} target={target} mode={mode} send={send} />}
    </div>
  );
}

function Field({ target, mode, send: say }: { target: Target; mode: Send['kind']; send: (kind: Send['kind'], content: Part[]) => boolean }) {
  const desk = theDesk();
  const { id } = target;
  const [text, setText] = useState(desk.drafts.get(id, mode));
  const input = useGrowing(text, useAsked<HTMLTextAreaElement>());
  const files = useFiles();
  const signal = useWritingSignal(target, mode);
  const change = (value: string): void => {
    setText(value);
    desk.drafts.set(id, mode, value);
    signal(value.trim() !== '');
  };
  const ready = !files.busy && (text.trim() !== '' || files.parts.length > 0);
  const send = (): void => {
    if (!ready) return;
    const content: Part[] = [...(text.trim() ? [{ type: 'text', text: text.trim() }] : []), ...files.parts];
    if (!say(mode, content)) return;
    change('');
    files.clear();
    input.current?.focus();
  };
  const key = (event: KeyboardEvent): void => {
    // While an input method composes, Enter picks a word.
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send();
  };
  const attach = mode === 'reply' && target.contact;
  const take = (event: Event, list: FileList | null | undefined): void => {
    if (!attach || !list?.length) return;
    event.preventDefault();
    files.add(list);
  };
  const label = mode === 'reply' ? t('replyTo', { name: target.name }) : t('internal');
  return (
    <form class="field" onSubmit={(event) => (event.preventDefault(), send())} onDragOver={(event) => attach && event.preventDefault()} onDrop={(event) => take(event, event.dataTransfer?.files)}>
      {files.items.length > 0 && (
        <ul class="files">
          {files.items.map((item) => (
            <li key={item.id}>
              <Icon name="file" size={16} /><span>{item.part ? item.name : t('uploading', { name: item.name })}</span>
              {!item.part && <progress aria-label={t('uploading', { name: item.name })} />}
              <button type="button" class="icon-button" aria-label={t('remove', { name: item.name })} onClick={() => files.remove(item.id)}><Icon name="close" size={14} /></button>
            </li>
          ))}
        </ul>
      )}
      <textarea ref={input} rows={2} maxLength={TEXT_MAX} placeholder={label} aria-label={label} value={text}
        onInput={(event) => change(event.currentTarget.value)} onKeyDown={key} onPaste={(event) => take(event, event.clipboardData?.files)} />
      <div class="tools">
        {attach && (
          <label class="icon-button attach" title={t('attach')}>
            <input type="file" multiple aria-label={t('attach')} onChange={(event) => (files.add(event.currentTarget.files ?? []), (event.currentTarget.value = ''))} />
            <Icon name="clip" />
          </label>
        )}
        <button class="button primary" aria-disabled={!ready}><Icon name={mode === 'reply' ? 'send' : 'note'} size={16} />{t(mode === 'reply' ? 'send' : 'addNote')}</button>
      </div>
    </form>
  );
}

/** Files are uploaded as soon as they are chosen; a reply then only names them. */
function useFiles() {
  const desk = theDesk();
  const [items, setItems] = useState<Attached[]>([]);
  const remove = (id: string): void => setItems((now) => now.filter((item) => item.id !== id));
  const upload = async (file: File): Promise<void> => {
    const item: Attached = { id: randomId(), name: file.name || 'file' };
    setItems((now) => [...now, item]);
    try {
      const part = uploadPart(await desk.calls.upload(file));
      setItems((now) => now.map((each) => (each.id === item.id ? { ...each, part } : each)));
    } catch (error) {
      remove(item.id);
      desk.say(t('uploadFailed', { name: item.name, why: explain(error) }), true);
    }
  };
  return {
    items,
    busy: items.some((item) => !item.part),
    parts: items.flatMap((item) => item.part ?? []),
    add: (list: Iterable<File>) => [...list].slice(0, FILES_MAX - items.length).forEach((file) => void upload(file)),
    remove,
    clear: () => setItems([]),
  };
}

/** Tells the contact that we type and the other agents that we reply: repeated while it lasts, ended when it stops. */
function useWritingSignal({ id, contact }: Target, mode: Send['kind']): (on: boolean) => void {
  const desk = theDesk();
  const since = useRef(0);
  const idle = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const tell = (on: boolean): void => {
    if (!contact) return;
    desk.live.replying(id, on);
    if (mode === 'reply' && desk.me.value.id) void desk.calls.typing(id, on).catch(() => undefined);
  };
  const stop = (): void => {
    clearTimeout(idle.current);
    if (since.current) tell(false);
    since.current = 0;
  };
  useEffect(() => stop, [id, mode]);
  return (on) => {
    if (!on) return stop();
    if (Date.now() - since.current > SIGNAL_REPEAT_MS) {
      since.current = Date.now();
      tell(true);
    }
    clearTimeout(idle.current);
    idle.current = setTimeout(stop, SIGNAL_IDLE_MS);
  };
}
