// The table of shortcuts.
import { dialog } from '../state/face';
import { t, type Key } from '../strings';
import { Modal } from './common';

const ROWS: [string[], Key][] = [
  [['j', 'k'], 'k_move'], [['r'], 'k_reply'], [['n'], 'k_note'], [['e'], 'k_close'], [['o'], 'k_reopen'], [['a'], 'k_assign'], [['i'], 'k_me'], [['s'], 'k_snooze'],
  [['c'], 'k_command'], [['e'], 'k_confirm'], [['x'], 'k_cancel'], [['v'], 'k_edit'], [['1', '2', '3', '4'], 'k_views'], [['g f'], 'k_tickets'],
  [['d'], 'k_details'], [['/'], 'k_search'], [['g m', 'g w', 'g a'], 'k_go'], [['g d', 'g c', 'g t'], 'k_pages'], [['Enter', 'Shift Enter'], 'k_send'], [['Esc'], 'k_leave'], [['?'], 'k_help'],
];

export function Help() {
  return (
    <Modal title={t('shortcuts')} close={() => (dialog.value = undefined)}>
      <dl class="keys">
        {ROWS.map(([keys, what]) => (
          <div><dt>{keys.map((key) => <kbd>{key}</kbd>)}</dt><dd>{t(what)}</dd></div>
        ))}
      </dl>
    </Modal>
  );
}
