// What can be done with a ticket, as buttons and as dialogs that shortcuts open too.
import { useState } from 'preact/hooks';
import type { Ticket } from '../api/types';
import { dialog, theDesk } from '../state/face';
import { isClosed, SEVERITIES } from '../state/work';
import { t, word } from '../strings';
import { Assign } from './actions';
import { Action, Modal } from './common';
import { Icon } from './icon';

const CATEGORY_MAX = 100;
const TITLE_MAX = 200;
const REASON_MAX = 2_000;

export function TicketActions({ ticket }: { ticket: Ticket }) {
  const desk = theDesk();
  if (!desk.may('agent')) return null;
  const { id } = ticket;
  const closed = isClosed(ticket);
  return (
    <div class="actions compact" role="group" aria-label={t('actions')}>
      {!closed && <Action kind="plain" title={t('assign')} run={() => (dialog.value = 'assign')}><Icon name="user" size={16} /><span>{t('assign')}</span></Action>}
      <Action kind="plain" title={t('edit')} run={() => (dialog.value = 'edit')}><Icon name="pencil" size={16} /><span>{t('edit')}</span></Action>
      {!closed && <Action kind="plain" title={t('cancelTicket')} run={() => (dialog.value = 'cancel')}><Icon name="close" size={16} /><span>{t('cancelTicket')}</span></Action>}
      {closed
        ? <Action run={() => desk.tickets.order(id, 'reopen')}>{t('reopen')}</Action>
        : <Action run={() => desk.tickets.order(id, 'confirm')}><Icon name="check" size={16} />{t('confirm')}</Action>}
    </div>
  );
}

/** The dialog that is open, if any. */
export function TicketDialogs({ ticket }: { ticket: Ticket }) {
  const { tickets } = theDesk();
  const close = (): void => void (dialog.value = undefined);
  switch (dialog.value) {
    case 'assign': return <Assign agent={ticket.agent} order={(to) => tickets.order(ticket.id, 'assign', to)} close={close} />;
    case 'edit': return <Edit ticket={ticket} close={close} />;
    case 'cancel': return <Cancel ticket={ticket} close={close} />;
  }
  return null;
}

function Edit({ ticket, close }: { ticket: Ticket; close: () => void }) {
  const { tickets } = theDesk();
  const [severity, setSeverity] = useState<string>(ticket.severity);
  const [category, setCategory] = useState(ticket.category ?? '');
  const [title, setTitle] = useState(ticket.title);
  // Only what was changed here: the severity may have risen meanwhile.
  const changed = {
    ...(severity === ticket.severity ? {} : { severity }),
    ...(category.trim() === (ticket.category ?? '') ? {} : { category: category.trim() }),
    ...(title.trim() === ticket.title ? {} : { title: title.trim() }),
  };
  const save = async (): Promise<void> => {
    if (Object.keys(changed).length === 0 || (await tickets.order(ticket.id, 'edit', changed))) close();
  };
  return (
    <Modal title={t('editTicket', { number: ticket.number })} close={close}>
      <form class="form" onSubmit={(event) => (event.preventDefault(), void save())}>
        <label>{t('severity')}
          <select value={severity} autofocus onChange={(event) => setSeverity(event.currentTarget.value)}>{SEVERITIES.map((each) => <option value={each}>{word('s_', each)}</option>)}</select>
        </label>
        <label>{t('category')}<input maxLength={CATEGORY_MAX} value={category} onInput={(event) => setCategory(event.currentTarget.value)} /></label>
        <label>{t('title')}<input required maxLength={TITLE_MAX} value={title} onInput={(event) => setTitle(event.currentTarget.value)} /></label>
        <div class="buttons"><button class="button primary">{t('save')}</button><Action run={close}>{t('cancel')}</Action></div>
      </form>
    </Modal>
  );
}

function Cancel({ ticket, close }: { ticket: Ticket; close: () => void }) {
  const { tickets } = theDesk();
  const [why, setWhy] = useState('');
  const cancel = async (): Promise<void> => {
    if (await tickets.order(ticket.id, 'cancel', why.trim() ? { text: why.trim() } : {})) close();
  };
  return (
    <Modal title={t('cancelTicketSure', { number: ticket.number })} close={close}>
      <p>{t('cancelTicketWhat')}</p>
      <form class="form" onSubmit={(event) => (event.preventDefault(), void cancel())}>
        <label>{t('reason')}<input maxLength={REASON_MAX} value={why} autofocus onInput={(event) => setWhy(event.currentTarget.value)} /></label>
        <div class="buttons"><button class="button danger">{t('cancelTicket')}</button><Action run={close}>{t('keepTicket')}</Action></div>
      </form>
    </Modal>
  );
}
