// An order to a device: its name, what goes with it as JSON, and how long it may wait until the device is there.
import { useState } from 'preact/hooks';
import type { Part } from '../../shared/wire';
import { theDesk, useAsked } from '../state/face';
import { t } from '../strings';
import { useGrowing } from './common';
import type { Target } from './composer';
import { Icon } from './icon';

const NAME_MAX = 200;
const ARGUMENTS_MAX = 20_000;
const EXPIRIES = [60, 600, 3_600, 86_400] as const;
const EXPIRY_NAMES = { 60: 'inOneMinute', 600: 'inTenMinutes', 3600: 'inOneHour', 86400: 'inOneDay' } as const;

/** What the agent wrote, as a value; undefined if it is no JSON. Nothing written is no arguments. */
function parse(text: string): { value?: unknown } | undefined {
  if (!text.trim()) return {};
  try {
    return { value: JSON.parse(text) as unknown };
  } catch {
    return undefined;
  }
}

export function CommandField({ target, send }: { target: Target; send: (kind: 'reply', content: Part[], expiresIn?: number) => boolean }) {
  const { drafts } = theDesk();
  const { id } = target;
  const name = useAsked<HTMLInputElement>();
  const [order, setOrder] = useState(drafts.get(id, 'command'));
  const [text, setText] = useState(drafts.get(id, 'arguments'));
  const [expiry, setExpiry] = useState(0);
  const values = useGrowing(text);
  const found = parse(text);
  const ready = order.trim() !== '' && found !== undefined;
  const change = (command: string, values: string): void => {
    setOrder(command);
    setText(values);
    drafts.set(id, 'command', command);
    drafts.set(id, 'arguments', values);
  };
  const submit = (): void => {
    if (!ready) return;
    const part: Part = { type: 'command', name: order.trim(), ...(found.value === undefined ? {} : { arguments: found.value }) };
    if (!send('reply', [part], expiry || undefined)) return;
    change('', '');
    name.current?.focus();
  };
  const key = (event: KeyboardEvent): void => {
    if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    submit();
  };
  return (
    <form class="field order" onSubmit={(event) => (event.preventDefault(), submit())} onKeyDown={key}>
      <label>{t('commandName')}<input ref={name} maxLength={NAME_MAX} autocomplete="off" spellcheck={false} value={order} onInput={(event) => change(event.currentTarget.value, text)} /></label>
      <label>{t('arguments')}
        <textarea ref={values} rows={1} maxLength={ARGUMENTS_MAX} spellcheck={false} placeholder={'{"speed": 2}'} value={text} aria-invalid={!found} aria-describedby={found ? undefined : 'arguments-problem'} onInput={(event) => change(order, event.currentTarget.value)} />
      </label>
      {!found && <p class="bad" id="arguments-problem">{t('notJson')}</p>}
      <div class="tools">
        <label>{t('expires')}
          <select value={expiry} onChange={(event) => setExpiry(Number(event.currentTarget.value))}>
            <option value={0}>{t('asChannel')}</option>
            {EXPIRIES.map((seconds) => <option value={seconds}>{t(EXPIRY_NAMES[seconds])}</option>)}
          </select>
        </label>
        <button class="button primary" aria-disabled={!ready}><Icon name="send" size={16} />{t('sendCommand')}</button>
      </div>
    </form>
  );
}
