// Where the agent writes: a reply to the contact or a note for the team, with files, and a draft per conversation.
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { uploadPart, type Part } from '../../shared/wire';
import { randomId } from '../../shared/id';
import type { Conversation } from '../api/types';
import { explain } from '../state/desk';
import { composer, theDesk, write } from '../state/face';
import { isDone } from '../state/lists';
import { t, word } from '../strings';
import { Action } from './common';
import { Icon } from './icon';
import { contactName } from './list';

const SIGNAL_REPEAT_MS = 3_000;
const SIGNAL_IDLE_MS = 5_000;
const TEXT_MAX = 20_000;
const FILES_MAX = 9;

/** The last wish to write that was met. */
let answeredAsk = 0;

interface Attached {
  id: string;
  name: string;
  part?: Part;
}

export function Composer({ conversation }: { conversation: Conversation }) {
  const desk = theDesk();
  if (!desk.may('agent')) return <p class="composer-hint">{t('readOnly')}</p>;
  const { id } = conversation;
  const { mode } = composer.value;
  return (
    <div class={`composer ${mode}`}>
      {isDone(conversation) && mode === 'reply' && <p class="composer-hint">{t('doneHint', { state: word('state_', conversation.state) })}</p>}
      {!conversation.agent && !isDone(conversation) && desk.me.value.id && (
        <p class="composer-hint">{t('takeHint')} <Action kind="primary small" run={() => desk.order(id, 'assign', { agent_id: desk.me.value.id })}>{t('take')}</Action></p>
      )}
      <div class="modes">
        <button type="button" class="mode" aria-pressed={mode === 'reply'} onClick={() => write('reply')}><Icon name="reply" size={15} />{t('reply')}</button>
        <button type="button" class="mode" aria-pressed={mode === 'note'} onClick={() => write('note')}><Icon name="note" size={15} />{t('note')}</button>
        {mode === 'note' && <span class="hint">{t('noteHint')}</span>}
      </div>
      <Field key={mode} conversation={conversation} mode={mode} />
    </div>
  );
}

function Field({ conversation, mode }: { conversation: Conversation; mode: 'reply' | 'note' }) {
  const desk = theDesk();
  const { id } = conversation;
  const input = useRef<HTMLTextAreaElement>(null);
  const [text, setText] = useState(desk.drafts.get(id, mode));
  const files = useFiles();
  const signal = useWritingSignal(id, mode);
  const asked = composer.value.asked;

  // Before the next key press, or its letter would be taken for a shortcut. Merely opening a conversation asks for nothing
  // and leaves the focus in the list.
  useLayoutEffect(() => {
    if (answeredAsk !== asked) input.current?.focus();
    answeredAsk = asked;
  }, [asked]);
  useLayoutEffect(() => {
    const element = input.current;
    if (!element) return;
    element.style.height = 'auto';
    element.style.height = `${element.scrollHeight}px`;
  }, [text]);

  const change = (value: string): void => {
    setText(value);
    desk.drafts.set(id, mode, value);
    signal(value.trim() !== '');
  };
  const ready = !files.busy && (text.trim() !== '' || files.parts.length > 0);
  const send = (): void => {
    if (!ready) return;
    const content: Part[] = [...(text.trim() ? [{ type: 'text', text: text.trim() }] : []), ...files.parts];
    if (!desk.sender.add(id, mode, content)) return desk.say(t('tooMany'), true);
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
  const attach = mode === 'reply';
  const take = (event: Event, list: FileList | null | undefined): void => {
    if (!attach || !list?.length) return;
    event.preventDefault();
    files.add(list);
  };
  const label = mode === 'reply' ? t('replyTo', { name: contactName(conversation) }) : t('internal');
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
        <button class="button primary" aria-disabled={!ready}><Icon name={attach ? 'send' : 'note'} size={16} />{t(attach ? 'send' : 'addNote')}</button>
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
function useWritingSignal(id: string, mode: 'reply' | 'note'): (on: boolean) => void {
  const desk = theDesk();
  const since = useRef(0);
  const idle = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const tell = (on: boolean): void => {
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
